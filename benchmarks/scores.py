"""How good the cameras of bags of photographs are: of one bag, and of many together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import get_args

import numpy as np
from scipy import stats

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.datasets.bags import Area
from vggt_sfm.metrics.pose import auc_exact, auc_histogram, relative_pose_errors

THRESHOLDS_DEG = (1, 3, 5, 10, 15, 20, 30)
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
    """Trapezoid area, directions with their sign."""
    auc_exact_folded: dict[str, float]
    """Trapezoid area, opposite directions being equal, as in SuperGlue, LoFTR and RoMa."""
    auc_histogram: dict[str, float]
    """One-degree bins, opposite directions being equal, as in VGGSfM and VGGT."""
    rra: dict[str, float]
    """Share of pairs whose rotation error is below the threshold."""
    rta: dict[str, float]
    """The same of directions without their sign."""


def stacked(poses: Mapping[str, Float64], names: Sequence[str]) -> Float64:
    """Return (S, 3, 4) cam_from_world in the order of names; NaN where there is none."""
    missing = np.full((3, 4), np.nan)
    return np.stack([poses.get(name, missing) for name in names])


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


def area(errors: Errors, kind: Area, threshold_deg: int) -> float:
    """Return one of the areas under the recall curve, percent."""
    if kind == "auc_histogram":
        return auc_histogram(errors.folded, threshold_deg)
    return auc_exact(errors.exact if kind == "auc_exact" else errors.folded, threshold_deg)


def scores_of(errors: Errors) -> Scores:
    """Score pairs."""
    direction = _folded(errors.translation)
    areas = {
        kind: {str(t): round(area(errors, kind, t), 2) for t in THRESHOLDS_DEG}
        for kind in get_args(Area)
    }
    return Scores(
        **areas,
        rra={str(t): _recall(errors.rotation, t) for t in THRESHOLDS_DEG},
        rta={str(t): _recall(direction, t) for t in THRESHOLDS_DEG},
    )


def named_scores(poses: Mapping[str, Float64], truth: Mapping[str, Float64]) -> Scores:
    """Score (3, 4) cam_from_world by name against all true ones."""
    names = sorted(truth)
    return scores_of(errors_of(stacked(poses, names), stacked(truth, names)))


def areas_cell(areas: Mapping[str, float], thresholds: Sequence[int]) -> str:
    """Write areas at some thresholds for a table."""
    return "/".join(f"{areas[str(t)]:.1f}" for t in thresholds)


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Average scores, each counting the same."""
    return Scores(
        **{
            field.name: {
                str(t): round(float(np.mean([getattr(s, field.name)[str(t)] for s in scores])), 2)
                for t in THRESHOLDS_DEG
            }
            for field in fields(Scores)
        }
    )


def interval(
    groups: Sequence[Sequence[Errors]], kind: Area, threshold_deg: int
) -> tuple[float, float] | None:
    """Where an AUC would be with other bags of the same kind.

    Bags are drawn again with replacement, as the pairs of one bag are not independent.

    Args:
        groups: Bags whose pairs are pooled; the AUC is the mean over the groups.
        kind: Which area.
        threshold_deg: Up to which error.

    Returns:
        95 % percentile bootstrap interval, percent; None where a group has less than two bags.
    """
    if not groups or min(map(len, groups)) < 2:
        return None
    pairs = [np.array([len(e.rotation) for e in group], np.float64) for group in groups]
    areas = [np.array([_additive_area(e, kind, threshold_deg) for e in group]) for group in groups]

    def mean_of_pooled(*rows: Float64, axis: int) -> Float64:
        pooled = []
        for weight, own, chosen in zip(pairs, areas, rows, strict=True):
            drawn = chosen.astype(np.int64)
            pooled.append((weight[drawn] * own[drawn]).sum(axis) / weight[drawn].sum(axis))
        return np.asarray(np.mean(pooled, axis=0))

    rows = tuple(np.arange(len(group), dtype=np.float64) for group in groups)
    reported = np.mean([area(pool(group), kind, threshold_deg) for group in groups])
    slopes = reported - mean_of_pooled(*rows, axis=0)  # what straight lines add to steps
    found = stats.bootstrap(
        rows,
        mean_of_pooled,
        n_resamples=_RESAMPLES,
        confidence_level=_CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return round(float(found.low + slopes), 2), round(float(found.high + slopes), 2)


def _additive_area(errors: Errors, kind: Area, threshold_deg: int) -> float:
    """An area of which the pooled one is the mean over bags, weighted by their pairs."""
    if kind == "auc_histogram":
        return area(errors, kind, threshold_deg)
    found = errors.exact if kind == "auc_exact" else errors.folded
    return 100 * float(np.maximum(1 - found / threshold_deg, 0).mean())


def _folded(translation: Float64) -> Float64:
    return np.minimum(translation, np.abs(180 - translation))


def _recall(errors: Float64, threshold_deg: float) -> float:
    return round(100 * float(np.mean(errors < threshold_deg)), 2) if len(errors) else float("nan")
