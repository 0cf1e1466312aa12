"""What can be measured on a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pycolmap
from scipy import sparse

from vggt_sfm._checks import Float64, Int64
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.io.opened import observed, point_arrays
from vggt_sfm.report.facts import Histogram, ModelFacts

_GRID = 8
_LONGEST_BIN = 12
_ERROR_BINS = 24
# Rings from the middle to where the longer side ends.
_RINGS, _LEAST_IN_A_RING = 5, 100
# Angles are measured on this many points at most, evenly spread over the ids.
_ANGLE_POINTS = 4000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Observations:
    """The observations of a model as arrays; rows are grouped by image."""

    names: tuple[str, ...]  # S images, in the order that was asked for
    image_of: Int64  # (M,)
    point_of: Int64  # (M,) rows of xyz
    xy: Float64  # (M, 2) px
    projected: Float64  # (M, 2) px, NaN for points without projection
    xyz: Float64  # (N, 3) scene units
    centers: Float64  # (S, 3) of the cameras, NaN for images that are not in the model
    principal: Float64  # (S, 2) px, likewise, and for panoramas
    half_px: Float64  # (S,) half the longer side of the images, likewise

    @property
    def errors_px(self) -> Float64:
        """(M,) reprojection errors."""
        return np.asarray(np.linalg.norm(self.projected - self.xy, axis=1))


def observations(model: pycolmap.Reconstruction, names: tuple[str, ...]) -> Observations:
    """Read the observations of the images with these names."""
    row_of = {point_id: row for row, point_id in enumerate(sorted(model.points3D))}
    xyz, _, _ = point_arrays(model)
    images = {image.name: image for image in model.images.values() if image.has_pose}
    centers = np.full((len(names), 3), np.nan)
    principal, half_px = np.full((len(names), 2), np.nan), np.full(len(names), np.nan)
    seen, counts = [], []
    for s, name in enumerate(names):
        counts.append(0)
        if name in images:
            seen.append(observed(model, images[name]))
            counts[-1] = len(seen[-1].xy)
            centers[s] = invert(images[name].cam_from_world().matrix())[:, 3]
            camera = model.cameras[images[name].camera_id]
            where = list(camera.principal_point_idxs())  # none: a panorama
            principal[s] = np.array(camera.params)[where] if where else (np.nan, np.nan)
            half_px[s] = max(camera.width, camera.height) / 2
    mine = [row_of[i] for each in seen for i in each.point_ids.tolist()]
    return Observations(
        names=names,
        image_of=np.repeat(np.arange(len(names)), counts),
        point_of=np.array(mine, np.int64),
        xy=np.concatenate([np.empty((0, 2)), *(each.xy for each in seen)]),
        projected=np.concatenate([np.empty((0, 2)), *(each.projected for each in seen)]),
        xyz=xyz,
        centers=centers,
        principal=principal,
        half_px=half_px,
    )


def shared_points(seen: Observations) -> Int64:
    """Count the points that each pair of images shares.

    Returns:
        (S, S), the diagonal being each image's own points.
    """
    shape = (len(seen.names), len(seen.xyz))
    ones = np.ones(len(seen.image_of), np.int64)
    incidence = sparse.csr_matrix((ones, (seen.image_of, seen.point_of)), shape=shape)
    return np.asarray((incidence @ incidence.T).toarray(), np.int64)


def coverage(seen: Observations, s: int, width: int, height: int) -> float:
    """Return the share of a grid's cells over an image in which it has observations, 0 to 1."""
    xy = seen.xy[seen.image_of == s] / (width, height) * _GRID
    cells = np.clip(np.floor(xy), 0, _GRID - 1).astype(int)
    return len({tuple(cell) for cell in cells.tolist()}) / _GRID**2


def model_facts(seen: Observations) -> ModelFacts:
    """Sum up a model."""
    errors = seen.errors_px[np.isfinite(seen.errors_px)]
    lengths = track_lengths(seen)
    placed = seen.centers[np.isfinite(seen.centers).all(axis=1)]
    rays = np.linalg.norm(seen.xyz[seen.point_of] - seen.centers[seen.image_of], axis=1)
    extent = float(np.linalg.norm(np.ptp(placed, axis=0))) if len(placed) > 1 else 0.0
    return ModelFacts(
        points=len(lengths),
        observations=len(seen.image_of),
        mean_error_px=_mean_of_points(seen) if len(errors) else None,
        median_error_px=float(np.median(errors)) if len(errors) else None,
        mean_track_length=float(lengths.mean()) if len(lengths) else None,
        median_angle_deg=_median_angle_deg(seen),
        radial_bias_px=_radial_bias_px(seen),
        depth_in_baselines=float(np.median(rays)) / extent if len(rays) and extent else None,
    )


def _mean_of_points(seen: Observations) -> float:
    """Average over the points that are seen, each with its mean error, as pycolmap does."""
    finite = np.isfinite(seen.errors_px)
    rows, errors = seen.point_of[finite], seen.errors_px[finite]
    counts, sums = np.bincount(rows), np.bincount(rows, errors)
    return float(np.mean(sums[counts > 0] / counts[counts > 0]))


def _radial_bias_px(seen: Observations) -> float | None:
    """Return the largest median of what errors have away from the middle, over rings around it.

    Noise and wrong matches have no preferred direction; a lens that the camera model lacks has.
    """
    away = seen.xy - seen.principal[seen.image_of]
    distance = np.linalg.norm(away, axis=1)
    outward = ((seen.xy - seen.projected) * away).sum(axis=1) / np.maximum(distance, 1e-9)
    ring = np.floor(distance / seen.half_px[seen.image_of] * _RINGS)
    finite = np.isfinite(outward)
    medians = [
        abs(float(np.median(outward[mine])))
        for mine in (finite & (ring == k) for k in range(2 * _RINGS))
        if mine.sum() >= _LEAST_IN_A_RING
    ]
    return max(medians) if medians else None


def track_lengths(seen: Observations) -> Int64:
    """Return how many images see each point that is seen at all."""
    lengths = np.bincount(seen.point_of, minlength=len(seen.xyz))
    return np.asarray(lengths[lengths > 0], np.int64)


def length_histogram(seen: Observations) -> Histogram:
    """Count track lengths one by one; the last bin holds all that are longer."""
    lengths = np.minimum(track_lengths(seen), _LONGEST_BIN)
    counts = np.bincount(lengths, minlength=_LONGEST_BIN + 1)[2:]
    return Histogram(
        edges=tuple(map(float, range(2, _LONGEST_BIN + 2))), counts=tuple(map(int, counts))
    )


def error_histogram(seen: Observations) -> Histogram:
    """Count reprojection errors up to where nearly all are; the last bin holds the rest."""
    errors = seen.errors_px[np.isfinite(seen.errors_px)]
    top = float(np.percentile(errors, 99)) if len(errors) else 1.0
    edges = np.linspace(0, max(top, 1e-3), _ERROR_BINS + 1)
    counts, _ = np.histogram(np.minimum(errors, edges[-1]), edges)
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(map(int, counts)))


def _median_angle_deg(seen: Observations) -> float | None:
    """Return the median over points of the largest angle between two of their rays."""
    order = np.argsort(seen.point_of, kind="stable")
    starts = np.flatnonzero(np.diff(seen.point_of[order], prepend=-1))
    groups = np.split(order, starts[1:]) if len(starts) else []
    angles = []
    for rows in groups[:: max(1, len(groups) // _ANGLE_POINTS)]:
        if len(rows) > 1:
            rays = seen.xyz[seen.point_of[rows]] - seen.centers[seen.image_of[rows]]
            rays /= np.linalg.norm(rays, axis=1, keepdims=True)
            angles.append(float(np.degrees(np.arccos(np.clip((rays @ rays.T).min(), -1, 1)))))
    return float(np.median(angles)) if angles else None
