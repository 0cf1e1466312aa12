"""What the embedded model makes of one rendered scene, beside SIFT on some of its pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.embedded_feedforward import predicted_depth_quality
from vggt_sfm.benchmarks.embedded_matchers import PredictedMatcher, SiftMatcher
from vggt_sfm.benchmarks.embedded_matches import judge_pairs
from vggt_sfm.benchmarks.embedded_parts import (
    Photographs,
    focal_lengths,
    mean_focals,
    predict,
    predictor_of,
)
from vggt_sfm.benchmarks.judged_matches import MatchedPair
from vggt_sfm.metrics.pose import relative_pose_errors
from vggt_sfm.scene import Predictions

_PAIR_STEP = 4  # of all pairs, these are matched by SIFT too: 7 of 28


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneMeasures:
    """Errors of one scene."""

    kind: str
    number: int
    exact_deg: list[float]
    """Of all pairs, the larger of rotation and direction."""
    folded_deg: list[float]
    """The same, direction without its sign."""
    focal_percent: list[float]
    """Of all photographs, size of the relative error."""
    delta: float
    """Share of depths within a ratio of 1.25, percent."""
    abs_rel: float
    """Mean relative error of depth."""
    pairs: list[MatchedPair]
    """Some pairs, matched; poses are with true intrinsics."""


def measure_scene(
    kind: str, number: int, found: Photographs, weights: Path, cache: Path
) -> SceneMeasures:
    """Predict a scene and compare it with the truth.

    Args:
        kind: Of the scene.
        number: Of its kind.
        found: The photographs.
        weights: Of the model.
        cache: Folder for SIFT's features.
    """
    scene = found.scene
    predictions = predict(scene, predictor_of(weights))
    if predictions.matches is None:
        raise ValueError("the embedded model predicts matches")
    exact, folded = pose_errors(predictions.cam_from_world, found.cam_from_world)
    delta, abs_rel = predicted_depth_quality(found, predictions)
    chosen = list(combinations(range(len(found.images)), 2))[::_PAIR_STEP]
    model = PredictedMatcher(predictions.matches, scene.pixel_maps)
    sift = SiftMatcher(scene.frames, cache)
    return SceneMeasures(
        kind=kind,
        number=number,
        exact_deg=exact,
        folded_deg=folded,
        focal_percent=focal_errors(found, predictions),
        delta=round(delta, 2),
        abs_rel=round(abs_rel, 4),
        pairs=list(judge_pairs(kind, found, chosen, model, sift)),
    )


def pose_errors(found: Float64, truth: Float64) -> tuple[list[float], list[float]]:
    """Compare (S, 3, 4) cam_from_world.

    Returns:
        Errors of all pairs with the sign of the direction and without, degrees, 180 for a failure.
    """
    both = (relative_pose_errors(found, truth, fold_translation=f).pose_deg for f in (False, True))
    exact, folded = (_rounded(np.minimum(errors, 180.0)) for errors in both)
    return exact, folded


def focal_errors(found: Photographs, predictions: Predictions) -> list[float]:
    """Return the sizes of the relative errors of all focal lengths, percent."""
    ratio = focal_lengths(found.scene, predictions) / mean_focals(found.intrinsics)
    return _rounded(100 * np.abs(ratio - 1))


def _rounded(values: Float64 | Sequence[float]) -> list[float]:
    return [round(float(value), 3) for value in values]
