"""Bundle adjustment of a seeded model: what takes part, the rounds, and the verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, Int64
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.ba.bundle import Bundle, focal_lengths, measure, read_bundle, write_bundle
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.ba.covariance import PoseSigma, pose_sigmas
from vggt_sfm.ba.distortion import without_zero_distortion
from vggt_sfm.ba.evidence import Verdict
from vggt_sfm.ba.gauge import align
from vggt_sfm.ba.report import BundleReport, ImageReport
from vggt_sfm.ba.rounds import Rounds
from vggt_sfm.ba.selection import largest_component, with_two_views
from vggt_sfm.ba.statuses import image_reports

_logger = get_logger(__name__)

_REFERENCE_WIDTH_PX = 518
# A refined focal length may differ from its start by this factor at most.
_MAX_FOCAL_CHANGE = 3.0
# More than this, and held-out tracks must fit better by as much as exceeds it: focal lengths and
# poses can trade along a valley where errors hardly change. On 203 rendered scenes without this
# rule, the five worst adjustments had changed focal lengths by 1.7 to 2.7.
_FREE_FOCAL_CHANGE = 1.5
# Principal points farther from their start, of the longer side, and distortions larger than this
# are no camera's but a scene's that does not determine them.
_MAX_CENTER_CHANGE = 0.15
_MAX_DISTORTION = 1.0
# An adjustment that explains fewer of its observations is not believed.
_LEAST_INLIER_RATIO = 0.3
_TOO_SMALL = "the scene is too small for its distance from the origin of the predicted world"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Outcome:
    """What the report is made from."""

    status: Literal["refined", "rejected", "skipped"]
    reason: str
    bundle: Bundle
    """In the world of the seed."""
    refined: Bool  # (S,) images that were adjusted and keep enough observations
    kept: Bool  # (M,) observations of the returned model
    connected: Bool  # (S,) images that tracks tie together with the others
    rounds: Rounds | None = None
    inlier_ratios: tuple[float, float] = (0.0, 0.0)
    """Before and after."""


def adjust(
    reconstruction: pycolmap.Reconstruction, config: BundleConfig, progress: Progress
) -> tuple[pycolmap.Reconstruction, BundleReport]:
    """Refine poses, intrinsics and points of a model, and keep the result only if it is better.

    Bad geometry is never an error: a model that cannot be adjusted, or is not better for it,
    comes back as it was, and the report says why.

    Args:
        reconstruction: The start, unchanged.
        config: Options.
        progress: Counts solver iterations.

    Returns:
        A new model with the world frame and ids of the start, without outlier observations, and
        the report. Images that could not be refined keep their pose and lose their observations.
    """
    started = time.monotonic()
    seed = read_bundle(reconstruction)
    outcome = _adjust(seed, config, progress)
    sigmas: dict[int, PoseSigma] = {}
    if outcome.status == "refined":
        result = write_bundle(outcome.bundle, reconstruction, outcome.kept)
        sigmas = _sigmas(result, seed, outcome)
    else:
        result = pycolmap.Reconstruction(reconstruction)
        result.update_point_3d_errors()
    report = _report(seed, outcome, result, sigmas, time.monotonic() - started)
    _logger.info(
        "adjust: %s%s; %d of %d images, %.1f %% of observations fit before, %.1f %% after",
        outcome.status,
        f" ({outcome.reason})" if outcome.reason else "",
        report.num_refined,
        len(seed.image_ids),
        100 * outcome.inlier_ratios[0],
        100 * outcome.inlier_ratios[1],
    )
    return result, report


def _adjust(seed: Bundle, config: BundleConfig, progress: Progress) -> _Outcome:
    unchanged = _Outcome(
        status="skipped",
        reason="",
        bundle=seed,
        refined=np.zeros(len(seed.image_ids), bool),
        kept=np.ones(len(seed.xy), bool),
        connected=np.zeros(len(seed.image_ids), bool),
    )
    if len(seed.image_ids) < 2:
        return replace(unchanged, reason="one image")
    unusable = _impossible_cameras(seed)
    for name in np.array(seed.names)[unusable]:
        _logger.warning("adjust: %s is left out: its predicted camera is not finite", name)
    usable = with_two_views(seed, ~unusable[seed.image_of] & _finite_observations(seed))
    if not usable.any():
        return replace(unchanged, reason="no track is seen by two usable images")
    images = largest_component(seed, usable)
    candidates = with_two_views(seed, usable & images[seed.image_of])
    if images.sum() < 2:
        return replace(unchanged, reason="no two images share enough tracks")

    px = float(np.median([max(c.width, c.height) for c in seed.cameras])) / _REFERENCE_WIDTH_PX
    with progress.task("adjust", None) as task:
        rounds = Rounds(seed, candidates, px, config, task.advance)
        kept = rounds.run()
    unchanged = replace(unchanged, connected=images)
    if not rounds.reports:
        return replace(unchanged, reason="the time was up before the first round")
    limit_px = config.max_error_px * px
    tried = replace(
        unchanged,
        rounds=rounds,
        inlier_ratios=(
            float(np.mean(measure(seed)[0][candidates] <= limit_px)),
            float(np.mean(measure(rounds.bundle)[0][candidates] <= limit_px)),
        ),
    )
    believable = _plausible_cameras(seed, rounds.bundle)
    believable &= _count(seed.image_of[kept], len(images)) >= config.min_observations
    kept = with_two_views(seed, kept & believable[seed.image_of])
    refined: Bool = np.asarray(_count(seed.image_of[kept], len(images)) > 0)
    reason = _reason_to_reject(seed, rounds, refined, tried.inlier_ratios)
    if reason:
        return replace(tried, status="rejected", reason=reason)
    solved = without_zero_distortion(rounds.bundle, seed)
    return _in_the_seeds_world(tried, solved, refined, kept, 1.01 * limit_px)


def _in_the_seeds_world(
    tried: _Outcome, solved: Bundle, refined: Bool, kept: Bool, limit_px: float
) -> _Outcome:
    """Accept an adjustment, if it survives the way back to the world of the seed."""
    seed = tried.bundle
    try:
        aligned = align(solved, seed, refined, kept)
    except ValueError:
        return replace(tried, status="rejected", reason=_TOO_SMALL)
    if not np.all(measure(aligned)[0][kept] <= limit_px):
        return replace(tried, status="rejected", reason=_TOO_SMALL)
    poses = np.where(refined[:, None, None], aligned.cam_from_world, seed.cam_from_world)
    return replace(
        tried,
        status="refined",
        bundle=replace(aligned, cam_from_world=poses),
        refined=refined,
        kept=kept,
    )


def _impossible_cameras(seed: Bundle) -> Bool:
    """Mark the (S,) images whose pose or intrinsics Ceres could not start from."""
    camera_is_bad: Bool = np.array(
        [
            not np.isfinite(camera.params).all() or camera.mean_focal_length() <= 0
            for camera in seed.cameras
        ],
        bool,
    )
    pose_is_good: Bool = np.asarray(np.isfinite(seed.cam_from_world).all(axis=(1, 2)))
    return np.asarray(camera_is_bad[seed.camera_of] | ~pose_is_good, bool)


def _plausible_cameras(seed: Bundle, solved: Bundle) -> Bool:
    """Mark the (S,) images whose refined intrinsics a real camera may have."""
    before, after = focal_lengths(seed), focal_lengths(solved)
    plausible = (after < _MAX_FOCAL_CHANGE * before) & (after * _MAX_FOCAL_CHANGE > before)
    for row, (old, new) in enumerate(zip(seed.cameras, solved.cameras, strict=True)):
        moved = [
            new.principal_point_x - old.principal_point_x,
            new.principal_point_y - old.principal_point_y,
        ]
        extra = np.array(new.params)[list(new.extra_params_idxs())]
        possible = np.abs(moved).max() <= _MAX_CENTER_CHANGE * max(old.width, old.height)
        possible &= np.abs(extra).max(initial=0.0) <= _MAX_DISTORTION
        plausible[seed.camera_of == row] &= bool(possible)
    return np.asarray(plausible)


def _finite_observations(seed: Bundle) -> Bool:
    xyz = seed.xyz[seed.point_of]
    return np.asarray(np.isfinite(seed.xy).all(axis=1) & np.isfinite(xyz).all(axis=1))


def _reason_to_reject(
    seed: Bundle, rounds: Rounds, refined: Bool, inlier_ratios: tuple[float, float]
) -> str:
    """Say why an adjustment is not believed, or return an empty string.

    Ceres' own summary is no evidence: its cost falls when points move behind their cameras.
    """
    before, after = inlier_ratios
    if not any(report.usable for report in rounds.reports):
        return "Ceres found no usable solution"
    if refined.sum() < 2:
        return "fewer than two images kept enough observations and plausible intrinsics"
    if after < before:
        return f"it fits {after:.0%} of the observations, the prediction {before:.0%}"
    if after < _LEAST_INLIER_RATIO:
        return f"it fits only {after:.0%} of the observations"
    verdict = rounds.verdict
    if verdict is not None and verdict.gain < 0:
        return _worse_for_held_out(verdict)
    change = _focal_change(seed, rounds.bundle, refined)
    better = verdict.before_px / max(verdict.after_px, 1e-9) if verdict is not None else 1.0
    if verdict is not None and better < 1 / _FREE_FOCAL_CHANGE:
        return _worse_for_held_out(verdict)
    if better < change / _FREE_FOCAL_CHANGE:
        return (
            f"its focal length is {change:.1f} times off the predicted one, and tracks that were "
            f"held out fit {better:.1f} times as well"
        )
    return ""


def _worse_for_held_out(verdict: Verdict) -> str:
    return (
        f"tracks that were held out fit it no better than the prediction: median error "
        f"{verdict.after_px:.2f} px instead of {verdict.before_px:.2f} px"
    )


def _focal_change(seed: Bundle, solved: Bundle, refined: Bool) -> float:
    """By which factor, 1 or more, the usual focal length of the refined images has changed."""
    ratio = float(np.median(focal_lengths(solved)[refined] / focal_lengths(seed)[refined]))
    return max(ratio, 1 / ratio)


def _sigmas(
    model: pycolmap.Reconstruction, seed: Bundle, outcome: _Outcome
) -> dict[int, PoseSigma]:
    if outcome.rounds is None:
        return {}
    ids = seed.image_ids[outcome.refined].tolist()
    return pose_sigmas(model, ids, outcome.rounds.noise_px, outcome.rounds.last_round)


def _report(
    seed: Bundle,
    outcome: _Outcome,
    result: pycolmap.Reconstruction,
    sigmas: dict[int, PoseSigma],
    seconds: float,
) -> BundleReport:
    verdict = outcome.rounds.verdict if outcome.rounds else None
    images: tuple[ImageReport, ...] = image_reports(
        seed,
        kept=outcome.kept,
        refined=outcome.refined,
        connected=outcome.connected,
        impossible=_impossible_cameras(seed),
        reason=outcome.reason,
        sigmas=sigmas,
    )
    return BundleReport(
        status=outcome.status,
        reason=outcome.reason,
        images=images,
        rounds=tuple(outcome.rounds.reports) if outcome.rounds else (),
        trials=verdict.trials if verdict else (),
        held_out_before_px=verdict.before_px if verdict else None,
        held_out_after_px=verdict.after_px if verdict else None,
        inlier_ratio_before=outcome.inlier_ratios[0],
        inlier_ratio_after=outcome.inlier_ratios[1],
        mean_reprojection_error_px=_mean_error(result),
        focal_before_px=_median_focal(seed),
        focal_after_px=_median_focal(outcome.bundle),
        seconds=seconds,
    )


def _mean_error(model: pycolmap.Reconstruction) -> float | None:
    """Return pycolmap's mean; None without points, and with points that have no projection."""
    error = model.compute_mean_reprojection_error() if model.num_points3D() else np.inf
    return error if error < 1e6 else None


def _count(rows: Int64, length: int) -> Int64:
    return np.bincount(rows, minlength=length).astype(np.int64)


def _median_focal(bundle: Bundle) -> float | None:
    return float(np.median(focal_lengths(bundle))) if len(bundle.image_ids) else None
