"""Compare the cameras of models that show the same photographs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.io.models import read_model
from vggt_sfm.io.named_files import same_photos
from vggt_sfm.io.opened import placed_images
from vggt_sfm.metrics.pose import auc_exact, auc_histogram, relative_pose_errors
from vggt_sfm.metrics.trajectory import (
    extent,
    on_a_line,
    pose_differences,
    stand_apart,
    trajectory_errors,
)
from vggt_sfm.pipelines.comparison import (
    THRESHOLDS_DEG,
    CameraDelta,
    Comparison,
    ImageDelta,
    MatchedBy,
    Side,
)
from vggt_sfm.placing.worlds import align_worlds

if TYPE_CHECKING:
    import pycolmap

_ON_A_LINE = "the cameras stand on a line: the turn about it is that of their orientations"


def compare(a: Path, b: Path, truth: Path | None = None) -> list[Comparison]:
    """Compare two models, or both with the truth.

    Args:
        a: What ``read_model`` reads.
        b: Likewise; the reference, where there is no truth.
        truth: Likewise.

    Returns:
        A against B; with a truth, A against it, B against it, and A against B.

    Raises:
        InputError: If a model cannot be read, has no image with a pose, or two of them have no
            image in common.
    """
    paths = {"A": a, "B": b} | ({} if truth is None else {"G": truth})
    models = {letter: read_model(path) for letter, path in paths.items()}
    sides = {letter: _side(letter, paths[letter], model) for letter, model in models.items()}
    pairs = [("A", "B")] if truth is None else [("A", "G"), ("B", "G"), ("A", "B")]
    return [compare_models(models[x], models[y], sides[x], sides[y]) for x, y in pairs]


def _side(letter: str, path: Path, model: pycolmap.Reconstruction) -> Side:
    images = len(placed_images(model))
    if not images:
        raise InputError(f"{path}: holds no image with a pose")
    return Side(letter=letter, path=str(path), images=images, cameras=len(model.cameras))


def compare_models(
    model: pycolmap.Reconstruction, reference: pycolmap.Reconstruction, side: Side, other: Side
) -> Comparison:
    """Compare a model with a reference.

    Args:
        model: In a world and scale of its own.
        reference: What it should be.
        side: What the model is called.
        other: What the reference is called.

    Raises:
        InputError: If they have no image in common.
    """
    mine = {image.name: image for image in placed_images(model)}
    theirs = {image.name: image for image in placed_images(reference)}
    name_of = same_photos(list(theirs), mine)
    matched_by: MatchedBy = "name" if name_of.keys() <= mine.keys() else "file name"
    if not name_of:
        raise InputError(
            f"{side.path} and {other.path} have no image in common: {len(mine)} such as "
            f"{next(iter(mine))}, {len(theirs)} such as {next(iter(theirs))}"
        )
    predicted = _poses(mine.get(name_of.get(name, "")) for name in theirs)
    truth = _poses(theirs.values())
    exact, histogram = _areas(predicted, truth)
    both = np.isfinite(predicted).all(axis=(1, 2))
    cameras, true_cameras = invert(predicted[both]), invert(truth[both])
    size = extent(invert(truth)[:, :, 3])
    remarks, ate = _ate(cameras[:, :, 3], true_cameras[:, :, 3])
    deltas = _deltas(list(name_of), cameras, true_cameras, size)
    angles = [delta.rotation_deg for delta in deltas]
    lenses = _cameras(model, reference, [(mine[m], theirs[t]) for t, m in name_of.items()])
    return Comparison(
        model=side,
        reference=other,
        matched_by=matched_by,
        common=len(name_of),
        only_model=tuple(name for name in mine if name not in set(name_of.values())),
        only_reference=tuple(name for name in theirs if name not in name_of),
        pairs=comb(len(theirs), 2),
        failed_pairs=comb(len(theirs), 2) - comb(len(name_of), 2),
        auc_exact=exact,
        auc_histogram=histogram,
        ate_rmse=None if ate is None else float(np.sqrt(np.square(ate).mean())),
        ate_median=None if ate is None else float(np.median(ate)),
        extent=size,
        rotation_median_deg=float(np.median(angles)) if angles else None,
        rotation_worst_deg=max(angles) if angles else None,
        images=deltas,
        cameras=lenses,
        remarks=(*remarks, *_turned(lenses)),
    )


def _poses(images: Iterable[pycolmap.Image | None]) -> Float64:
    """Return (S, 3, 4) cam_from_world, NaN where there is no image."""
    missing = np.full((3, 4), np.nan)
    return np.stack([missing if im is None else im.cam_from_world().matrix() for im in images])


Areas = dict[str, float] | None


def _areas(predicted: Float64, truth: Float64) -> tuple[Areas, Areas]:
    """Return both areas under the recall curve of all pairs, by threshold, if there are pairs."""
    if len(truth) < 2:
        return None, None
    exact = relative_pose_errors(predicted, truth, fold_translation=False).pose_deg
    folded = relative_pose_errors(predicted, truth).pose_deg
    return (
        {str(t): auc_exact(exact, t) for t in THRESHOLDS_DEG},
        {str(t): auc_histogram(folded, t) for t in THRESHOLDS_DEG},
    )


def _ate(centers: Float64, truth: Float64) -> tuple[tuple[str, ...], Float64 | None]:
    """Return remarks, and the (N,) distances of centres if they say anything."""
    if len(centers) == 1:
        return ("1 image in common: no ATE and no rotations, it aligns with anything",), None
    if not (stand_apart(centers) and stand_apart(truth)):
        return ("all cameras of one model stand in one place: no ATE and no distances",), None
    if len(centers) == 2:
        return ("2 images in common: no ATE, two centres align with any two",), None
    remarks = (_ON_A_LINE,) if on_a_line(centers) or on_a_line(truth) else ()
    return remarks, trajectory_errors(centers, truth)


def _deltas(
    names: list[str], world_from_cam: Float64, truth: Float64, size: float
) -> tuple[ImageDelta, ...]:
    if len(names) == 1:
        return ()
    similarity = align_worlds(world_from_cam, truth)
    angles, distances = pose_differences(world_from_cam, truth, similarity)
    shares = distances / size if size > 0 else np.full(len(names), np.nan)
    worst = np.fmax(np.radians(angles), shares)
    return tuple(
        ImageDelta(
            name=names[n],
            rotation_deg=float(angles[n]),
            distance=_finite(distances[n]),
            distance_share=_finite(shares[n]),
        )
        for n in np.argsort(-worst, kind="stable")
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _cameras(
    model: pycolmap.Reconstruction,
    reference: pycolmap.Reconstruction,
    both: list[tuple[pycolmap.Image, pycolmap.Image]],
) -> tuple[CameraDelta, ...]:
    count = Counter((mine.camera_id, theirs.camera_id) for mine, theirs in both)
    deltas = [
        _camera(model.cameras[mine], reference.cameras[theirs], images)
        for (mine, theirs), images in count.items()
    ]
    return tuple(sorted(deltas, key=lambda delta: -abs(delta.focal_percent)))


def _turned(cameras: Iterable[CameraDelta]) -> tuple[str, ...]:
    """Explain what photographs do to the figures that only one program turns as EXIF says."""
    turned = sum(
        each.images
        for each in cameras
        if each.size == each.reference_size[::-1] != each.reference_size
    )
    remark = f"{turned} images stand upright in one model only: they seem turned by 90 degrees"
    return (remark,) if turned else ()


def _camera(mine: pycolmap.Camera, theirs: pycolmap.Camera, images: int) -> CameraDelta:
    scale = np.array([theirs.width / mine.width, theirs.height / mine.height])
    focal = mine.mean_focal_length() * scale[0] / theirs.mean_focal_length()
    middle = scale * [mine.principal_point_x, mine.principal_point_y]
    shift = middle - [theirs.principal_point_x, theirs.principal_point_y]
    return CameraDelta(
        camera_id=mine.camera_id,
        reference_id=theirs.camera_id,
        images=images,
        model=mine.model_name,
        reference_model=theirs.model_name,
        size=(mine.width, mine.height),
        reference_size=(theirs.width, theirs.height),
        focal_percent=float(100 * (focal - 1)),
        principal_point_px=float(np.linalg.norm(shift)),
    )
