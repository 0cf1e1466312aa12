"""The points that the viewer shows, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64, Int64, UInt8
from vggt_sfm.geometry.rigid import invert, transform_points
from vggt_sfm.io.opened import OpenedModel, PhotoDepth, observed, placed_images, point_arrays

# A pixel whose depth differs more from a neighbour's lies across an edge, where networks smear.
_MOST_RELATIVE_STEP = 0.08
_NO_PHOTO_RGB = (150, 150, 150)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Points:
    """Points of whatever origin."""

    xyz: Float64  # (N, 3) world
    rgb: UInt8  # (N, 3)
    total: int  # of which these are a seeded choice


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SparsePoints(Points):
    """Points of a model."""

    track_length: Int64  # (N,) photographs that see the point
    error_px: Float64  # (N,) mean reprojection error; NaN where no photograph tells


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DensePoints(Points):
    """Pixels of the photographs, lifted by their predicted depth."""

    rank: Float64  # (N,) share of the points whose confidence is not higher, above 0, up to 1


def shares(counts: Sequence[int], most: int) -> list[int]:
    """Divide a number of points among several sets so that small sets stay whole.

    >>> shares([10, 1000, 500], 400)
    [10, 195, 195]
    """
    given = [0] * len(counts)
    left = most
    for done, n in enumerate(sorted(range(len(counts)), key=lambda n: counts[n])):
        given[n] = min(counts[n], left // (len(counts) - done))
        left -= given[n]
    return given


def chosen(total: int, most: int, seed: int) -> Int64:
    """Return which of ``total`` things are shown, in ascending order: at most ``most`` of them."""
    if total <= most:
        return np.arange(total)
    picked = np.random.default_rng(seed).choice(total, most, replace=False, shuffle=False)
    return np.sort(picked)


def ranks(values: Float64) -> Float64:
    """Return for each of (N,) values the share of values that are not higher.

    Equal values have equal ranks, so that a threshold never cuts through them.
    """
    if not len(values):
        return np.zeros(0)
    return np.searchsorted(np.sort(values), values, side="right") / len(values)


def sparse_points(
    model: pycolmap.Reconstruction | None, most: int, seed: int
) -> tuple[SparsePoints, dict[str, float]]:
    """Return the points of a model, and the mean reprojection error of its images by name, px."""
    if model is None:
        model = pycolmap.Reconstruction()
    xyz, rgb, track_length = point_arrays(model)
    error_px, of_image = _errors_px(model)
    rows = chosen(len(xyz), most, seed)
    points = SparsePoints(
        xyz=xyz[rows],
        rgb=rgb[rows].reshape(-1, 3),
        track_length=track_length[rows],
        error_px=error_px[rows],
        total=len(xyz),
    )
    return points, of_image


def _errors_px(model: pycolmap.Reconstruction) -> tuple[Float64, dict[str, float]]:
    """Return the (N,) mean error of each point and that of each image, px; NaN if nothing tells."""
    ids = np.array(sorted(model.points3D), np.int64)
    total, count = np.zeros(len(ids)), np.zeros(len(ids))
    of_image = {}
    for image in placed_images(model):
        seen = observed(model, image)
        error = seen.errors_px
        known = np.isfinite(error)
        rows = np.searchsorted(ids, seen.point_ids[known])
        np.add.at(total, rows, error[known])
        np.add.at(count, rows, 1)
        of_image[image.name] = float(error[known].mean()) if known.any() else float("nan")
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), of_image


def usable_pixels(depth: PhotoDepth) -> Int64:
    """Return the (N,) flat indices of network pixels that show the photograph and have a depth.

    Pixels across an edge of the depth are left out: they would hang between front and back.
    """
    x0, y0, x1, y1 = depth.pixel_map.content_box()
    inside = np.zeros(depth.depth.shape, bool)
    inside[y0:y1, x0:x1] = True
    known = inside & np.isfinite(depth.depth) & (depth.depth > 0)
    log_depth = np.log(np.where(known, depth.depth, np.nan))
    edge = np.zeros(known.shape, bool)
    for axis in (0, 1):
        step = np.abs(np.diff(log_depth, axis=axis)) > _MOST_RELATIVE_STEP
        before, after = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        before[axis], after[axis] = (0, 1), (1, 0)
        edge |= np.pad(step, before) | np.pad(step, after)
    return np.flatnonzero(known & ~edge)


def dense_points(
    opened: OpenedModel, pixels: Mapping[str, Int64], photos: Mapping[str, UInt8], most: int
) -> DensePoints:
    """Lift pixels of all photographs into the world.

    Args:
        opened: The model and its depth.
        pixels: What ``usable_pixels`` says about each photograph.
        photos: (h, w, 3) RGB of photographs at whatever size, for the colours; grey without.
        most: Points at most; each photograph gives as large a part of its pixels.
    """
    total = sum(len(each) for each in pixels.values())
    keep = min(1.0, most / total) if total else 0.0
    xyz, rgb = [np.zeros((0, 3))], [np.zeros((0, 3), np.uint8)]
    confidence = [np.zeros(0)]
    for number, image in enumerate(opened.images()):
        if image.name not in pixels:
            continue
        flat, depth = pixels[image.name], opened.depths[image.name]
        flat = flat[chosen(len(flat), int(len(flat) * keep), seed=number)]
        xy, lifted = lift(opened.model, image, depth, flat)
        seen = np.isfinite(lifted).all(axis=1)  # a bad distortion has pixels without a ray
        xyz.append(lifted[seen])
        rgb.append(_colors(photos.get(image.name), xy[seen], depth.pixel_map.original))
        confidence.append(depth.confidence.ravel()[flat[seen]].astype(np.float64))
    return DensePoints(
        xyz=np.concatenate(xyz),
        rgb=np.concatenate(rgb),
        rank=ranks(np.nan_to_num(np.concatenate(confidence), nan=-np.inf)),
        total=total,
    )


def lift(
    model: pycolmap.Reconstruction, image: pycolmap.Image, depth: PhotoDepth, flat: Int64
) -> tuple[Float64, Float64]:
    """Lift network pixels through the camera as it was adjusted, with its distortion.

    Args:
        model: Holds the camera.
        image: Whose pixels.
        depth: Its depth.
        flat: (N,) flat indices of network pixels.

    Returns:
        (N, 2) px of the photograph, and (N, 3) world points.
    """
    row, column = np.unravel_index(flat, depth.depth.shape)
    xy = depth.pixel_map.to_original(np.stack([column + 0.5, row + 0.5], axis=1))
    ray = np.asarray(model.cameras[image.camera_id].cam_from_img(xy)).reshape(-1, 2)
    along = depth.depth.ravel()[flat].astype(np.float64)
    in_camera = np.concatenate([ray, np.ones((len(ray), 1))], axis=1) * along[:, None]
    return xy, transform_points(invert(image.cam_from_world().matrix()), in_camera)


def _colors(photo: UInt8 | None, xy: Float64, original: tuple[int, int]) -> UInt8:
    if photo is None:
        return np.tile(np.array(_NO_PHOTO_RGB, np.uint8), (len(xy), 1))
    height, width = photo.shape[:2]
    place = np.floor(xy * [width / original[0], height / original[1]]).astype(int)
    return np.asarray(photo[place[:, 1].clip(0, height - 1), place[:, 0].clip(0, width - 1)])
