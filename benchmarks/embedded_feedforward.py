"""Cameras and depth of one pass of the embedded model, in short windows and in whole scenes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from vggt_sfm._checks import Float32, Float64
from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.embedded_parts import (
    Measured,
    Photographs,
    Plan,
    at_least,
    auc_cell,
    focal_lengths,
    mean_focals,
    median_focal_error,
    photographs,
    predict,
    predictor_of,
)
from vggt_sfm.benchmarks.scores import areas_cell, errors_of, scores_of
from vggt_sfm.io.plain import to_plain
from vggt_sfm.metrics.pose import auc_histogram, relative_pose_errors
from vggt_sfm.scene import PixelMap, Predictions

WINDOWS_SET = "7scenes_a"
SCENES = ("fountain-P11", "Herz-Jesus-P8")
WINDOW_BAR, SCENE_BAR = 55.0, 90.0
_WINDOW, _STEP = 8, 4  # frames
_WINDOW_ANGLES = (5, 15, 30)
_SCENE_ANGLES = (1, 3, 5, 10, 30)
_CLOSE = 1.25  # ratio of depths
_DEPTH_CAMERA = (
    "Poses, focal length (585 px) and depth of this set are those of the depth sensor; the "
    "photographs are of a colour camera beside it, whose focal length is near 520 px."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window of frames."""

    first: int
    errors_deg: list[float]
    """Of all pairs, the larger of rotation and direction without its sign."""
    focal_px: float
    """Median."""
    focal_percent: float
    """Median error."""
    delta: float
    """Share of depths within a ratio of 1.25, percent."""
    abs_rel: float
    """Mean relative error of depth."""


def run_windows(plan: Plan) -> Measured:
    """Measure windows of consecutive frames."""
    found = photographs(plan.data / WINDOWS_SET)
    starts = range(0, len(found.images) - _WINDOW + 1, _STEP * (2 if plan.fast else 1))
    windows = [run_window(found, start, plan.weights) for start in starts]
    return Measured(
        tables=(windows_table(windows), _DEPTH_CAMERA),
        figures={"windows": [asdict(window) for window in windows], "auc_30": pooled_auc(windows)},
    )


def run_window(found: Photographs, start: int, weights: Path) -> Window:
    """Predict a window alone and compare it with the truth."""
    rows = slice(start, start + _WINDOW)
    mine = replace(
        found,
        images=found.images[rows],
        cam_from_world=found.cam_from_world[rows],
        intrinsics=found.intrinsics[rows],
    )
    predictions = predict(mine.scene, predictor_of(weights))
    errors = relative_pose_errors(predictions.cam_from_world, mine.cam_from_world)
    focals = focal_lengths(mine.scene, predictions)
    delta, abs_rel = predicted_depth_quality(mine, predictions)
    return Window(
        first=start,
        errors_deg=[round(float(error), 3) for error in errors.pose_deg],
        focal_px=round(float(np.median(focals)), 1),
        focal_percent=round(median_focal_error(focals, mean_focals(mine.intrinsics)), 2),
        delta=round(delta, 2),
        abs_rel=round(abs_rel, 4),
    )


def predicted_depth_quality(found: Photographs, predictions: Predictions) -> tuple[float, float]:
    """Judge the depth maps of all photographs together, see :func:`depth_quality`.

    Returns:
        NaN where no depth is known.
    """
    ratios = [
        depth_ratios(depth, truth, pixel_map)
        for s, (depth, pixel_map) in enumerate(
            zip(predictions.depth, found.scene.pixel_maps, strict=True)
        )
        if (truth := found.depth(s)) is not None
    ]
    return depth_quality(np.concatenate(ratios)) if ratios else (np.nan, np.nan)


def depth_ratios(depth: Float32, truth: Float64, pixel_map: PixelMap) -> Float64:
    """Return predicted over true depth at the true depth's pixels that are known.

    Args:
        depth: (h, w) predicted, network pixels, any scale.
        truth: (H, W) original pixels; 0 where unknown.
        pixel_map: From original to network pixels.

    Returns:
        (n,) ratios.
    """
    row, column = np.nonzero(truth > 0)
    place = pixel_map.to_network(np.stack([column, row], axis=1).astype(np.float64) + 0.5)
    x, y = np.clip(place, 0, np.array(pixel_map.network) - 1).astype(np.int64).T
    return np.asarray(depth[y, x] / truth[row, column], np.float64)


def depth_quality(ratios: Float64) -> tuple[float, float]:
    """Judge (n,) ratios of predicted to true depth after making their median 1.

    Returns:
        Share within a ratio of 1.25, percent, and mean relative error.
    """
    aligned = ratios / np.median(ratios)
    close = np.maximum(aligned, 1 / np.maximum(aligned, 1e-9)) < _CLOSE
    return float(100 * close.mean()), float(np.abs(aligned - 1).mean())


def pooled_auc(windows: list[Window]) -> float:
    """Return the histogram AUC at the widest angle over all pairs of all windows, percent."""
    errors = np.concatenate([window.errors_deg for window in windows])
    return round(auc_histogram(errors, _WINDOW_ANGLES[-1]), 2)


def windows_table(windows: list[Window]) -> str:
    """One row for all windows together and one for the worst."""
    titles = ["7scenes_a, windows of 8", "pairs", "histogram AUC@5/15/30", "focal error %"]
    titles += ["focal px", "depth δ<1.25 %", "depth abs-rel", "bar, AUC@30"]
    worst = min(windows, key=lambda window: pooled_auc([window]))
    rows = []
    for name, chosen in ((f"all {len(windows)}", windows), (f"worst: {worst.first}…", [worst])):
        errors = np.concatenate([window.errors_deg for window in chosen])
        rows.append(
            [
                name,
                str(len(errors)),
                auc_cell(auc_histogram, errors, _WINDOW_ANGLES),
                f"{np.median([window.focal_percent for window in chosen]):.1f}",
                f"{np.median([window.focal_px for window in chosen]):.0f}",
                f"{np.mean([window.delta for window in chosen]):.1f}",
                f"{np.mean([window.abs_rel for window in chosen]):.3f}",
                at_least(pooled_auc(chosen), WINDOW_BAR) if chosen is windows else "-",
            ]
        )
    return markdown.table(titles, rows)


def run_scenes(plan: Plan) -> Measured:
    """Measure whole scenes."""
    angles = "/".join(map(str, _SCENE_ANGLES))
    titles = ["scene", f"exact AUC@{angles}", f"histogram AUC@{angles}", "focal error %"]
    rows, figures = [], {}
    for name in SCENES:
        found = photographs(plan.data / name)
        predictions = predict(found.scene, predictor_of(plan.weights))
        row = to_plain(scores_of(errors_of(predictions.cam_from_world, found.cam_from_world)))
        focals = focal_lengths(found.scene, predictions)
        row["focal_percent"] = round(median_focal_error(focals, mean_focals(found.intrinsics)), 2)
        figures[name] = row
        cells = [areas_cell(row[auc], _SCENE_ANGLES) for auc in ("auc_exact", "auc_histogram")]
        bar = at_least(row["auc_exact"]["30"], SCENE_BAR)
        rows.append([name, *cells, f"{row['focal_percent']:.1f}", bar])
    table = markdown.table([*titles, "bar, exact AUC@30"], rows)
    return Measured(tables=(table,), figures=figures)
