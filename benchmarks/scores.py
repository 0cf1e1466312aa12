"""How good the cameras of bags of photographs are: of one bag, and of many together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from vggt_sfm._checks import Float64
from vggt_sfm.metrics.pose import auc_exact, auc_histogram, relative_pose_errors

THRESHOLDS_DEG = (1, 3, 5, 10, 20, 30)
_RESAMPLES = 2000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Errors:
    """Errors of P pairs of photographs, degrees."""

    rotation: Float64  # (P,) 0 to 180
    translation: Float64  # (P,) between directions with their signs; inf: a camera is missing

    @property
    def exact(self) -> Float64:
        """(P,) the larger one, directions with their sign."""
        return np.maximum(self.rotation, self.translation)

    @property
    def folded(self) -> Float64:
        """(P,) the larger one, opposite directions being equal, as VGGT counts."""
        return np.maximum(self.rotation, _folded(self.translation))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What is reported of pairs, percent, by threshold in degrees."""

    auc_exact: dict[str, float]
    auc_histogram: dict[str, float]
    rra: dict[str, float]
    """Share of pairs whose rotation error is below the threshold."""
    rta: dict[str, float]
    """The same of directions without their sign."""


def errors_of(predicted: Float64, truth: Float64) -> Errors:
    """Compare (S, 3, 4) cam_from_world, a missing one being NaN, with the true ones."""
    found = relative_pose_errors(predicted, truth, fold_translation=False)
    return Errors(rotation=found.rotation_deg, translation=found.translation_deg)


def pool(errors: Sequence[Errors]) -> Errors:
    """Put the pairs of many bags together."""
    return Errors(
        rotation=np.concatenate([e.rotation for e in errors]),
        translation=np.concatenate([e.translation for e in errors]),
    )


def scores_of(errors: Errors) -> Scores:
    """Score pairs."""
    exact, folded, direction = errors.exact, errors.folded, _folded(errors.translation)
    return Scores(
        auc_exact={str(t): round(auc_exact(exact, t), 2) for t in THRESHOLDS_DEG},
        auc_histogram={str(t): round(auc_histogram(folded, t), 2) for t in THRESHOLDS_DEG},
        rra={str(t): _recall(errors.rotation, t) for t in THRESHOLDS_DEG},
        rta={str(t): _recall(direction, t) for t in THRESHOLDS_DEG},
    )


def interval(errors: Sequence[Errors], threshold_deg: int) -> tuple[float, float] | None:
    """Where the pooled histogram AUC would be with other bags of the same kind.

    Bags are drawn again with replacement, as the pairs of one bag are not independent. The
    pooled AUC is the mean of the bags' own, weighted by their pairs.

    Returns:
        95 % percentile bootstrap interval, percent; None with fewer than two bags.
    """
    if len(errors) < 2:
        return None
    pairs = np.array([len(e.rotation) for e in errors], np.float64)
    area = np.array([auc_histogram(e.folded, threshold_deg) for e in errors])

    def pooled(rows: Float64, axis: int) -> Float64:
        chosen = rows.astype(np.int64)
        weight = pairs[chosen]
        return np.asarray((weight * area[chosen]).sum(axis) / weight.sum(axis))

    found = stats.bootstrap(
        (np.arange(len(errors)),),
        pooled,
        n_resamples=_RESAMPLES,
        confidence_level=_CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return round(float(found.low), 2), round(float(found.high), 2)


def _folded(translation: Float64) -> Float64:
    return np.minimum(translation, np.abs(180 - translation))


def _recall(errors: Float64, threshold_deg: float) -> float:
    return round(100 * float(np.mean(errors < threshold_deg)), 2) if len(errors) else float("nan")
