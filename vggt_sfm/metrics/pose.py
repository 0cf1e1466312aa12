"""Relative pose errors of all image pairs, and the two areas under their recall curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vggt_sfm._checks import Bool, Float64, Int64, check_finite, check_shape, freeze
from vggt_sfm.geometry.rigid import compose, invert, rotation_angle_deg


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PairErrors:
    """Errors of P unordered image pairs."""

    pairs: Int64  # (P, 2) frame indices, first < second
    rotation_deg: Float64  # (P,) 0 to 180; 180 for a failed pair
    translation_deg: Float64  # (P,) angle between baselines; inf for a failed pair

    def __post_init__(self) -> None:
        dims = check_shape("PairErrors.pairs", self.pairs, "P 2")
        check_shape("PairErrors.rotation_deg", self.rotation_deg, "P", dims)
        check_shape("PairErrors.translation_deg", self.translation_deg, "P", dims)
        freeze(self)

    @property
    def pose_deg(self) -> Float64:
        """(P,) the larger of the two errors, the one that the AUC counts."""
        return np.maximum(self.rotation_deg, self.translation_deg)


def relative_pose_errors(
    predicted: Float64, truth: Float64, *, fold_translation: bool = True
) -> PairErrors:
    """Compare the relative poses of all pairs of frames.

    Args:
        predicted: (S, 3, 4) cam_from_world in any world and scale; a row with a NaN stands for
            an unregistered frame, and every pair it belongs to has failed.
        truth: (S, 3, 4) cam_from_world.
        fold_translation: Whether opposite baselines count as equal (angle a becomes
            min(a, 180 - a)), as PoseDiffusion, VGGSfM and VGGT have it.

    Returns:
        The errors of all S (S - 1) / 2 pairs. The baseline is the second camera's centre as the
        first camera sees it, so its error contains the rotation error of the first. A pair
        without a true baseline has no translation error; a predicted baseline of zero length
        counts as perpendicular.

    Raises:
        ValueError: If shapes differ or the truth is not finite.
    """
    dims = check_shape("relative_pose_errors.truth", truth, "S 3 4")
    check_shape("relative_pose_errors.predicted", predicted, "S 3 4", dims)
    check_finite("relative_pose_errors.truth", truth)
    first, second = np.triu_indices(dims["S"], k=1)
    registered: Bool = np.asarray(np.isfinite(predicted).all(axis=(1, 2)))
    known = np.where(registered[:, None, None], predicted, np.eye(3, 4))
    relative = compose(known[first], invert(known[second]))
    true_relative = compose(truth[first], invert(truth[second]))
    difference = np.swapaxes(true_relative[..., :3], -1, -2) @ relative[..., :3]
    rotation_deg = rotation_angle_deg(difference)
    translation_deg = _baseline_angle_deg(relative[..., 3], true_relative[..., 3])
    if fold_translation:
        translation_deg = np.minimum(translation_deg, 180 - translation_deg)
    failed = ~(registered[first] & registered[second])
    rotation_deg[failed] = 180.0
    translation_deg[failed] = np.inf
    return PairErrors(
        pairs=np.stack([first, second], axis=1).astype(np.int64),
        rotation_deg=rotation_deg,
        translation_deg=translation_deg,
    )


def _baseline_angle_deg(predicted: Float64, truth: Float64) -> Float64:
    """Angles between (P, 3) vectors; 0 where the truth is zero, 90 where the prediction is."""
    sine = np.linalg.norm(np.cross(predicted, truth), axis=-1)
    cosine = (predicted * truth).sum(axis=-1)
    angle = np.degrees(np.arctan2(sine, cosine))
    angle[~predicted.any(axis=-1)] = 90.0
    angle[~truth.any(axis=-1)] = 0.0
    return np.asarray(angle)


def auc_exact(errors_deg: Float64, threshold_deg: float) -> float:
    """Return the exact area under the recall curve up to a threshold, percent.

    The curve runs linearly between the sorted errors, as SuperGlue, LoFTR and COLMAP compute it.

    Args:
        errors_deg: (P,) one error a pair; NaN and inf are failures.
        threshold_deg: Upper end of the integral, degrees.

    Returns:
        0 to 100; NaN without pairs.

    Source: Sarlin et al., SuperGlue, CVPR 2020, section 5.1 (AUC by the trapezoidal rule).
    """
    errors = _sorted_errors(errors_deg)
    if not len(errors):
        return float("nan")
    recall = np.arange(len(errors) + 1) / len(errors)
    below = int(np.searchsorted(errors, threshold_deg))
    x = np.concatenate([[0.0], errors[:below], [threshold_deg]])
    y = np.concatenate([recall[: below + 1], [recall[below]]])
    return float(100 * (np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / threshold_deg)


def auc_histogram(errors_deg: Float64, threshold_deg: int) -> float:
    """Return the mean of the recall at 1, 2, … ``threshold_deg`` degrees, percent.

    This is the AUC of PoseDiffusion, VGGSfM and VGGT: a histogram with one-degree bins, divided
    by all pairs, cumulated and averaged. It rounds every error up to a whole degree.

    Args:
        errors_deg: (P,) one error a pair; NaN and inf are failures.
        threshold_deg: Number of bins; an error of exactly this much still counts.

    Returns:
        0 to 100; NaN without pairs.
    """
    errors = _sorted_errors(errors_deg)
    if not len(errors):
        return float("nan")
    counts, _ = np.histogram(errors, bins=np.arange(threshold_deg + 1))
    return float(100 * np.cumsum(counts / len(errors)).mean())


def _sorted_errors(errors_deg: Float64) -> Float64:
    check_shape("AUC errors", errors_deg, "P")
    return np.sort(np.where(np.isnan(errors_deg), np.inf, errors_deg))
