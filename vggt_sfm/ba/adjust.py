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
from vggt_sfm.ba.gauge import align
from vggt_sfm.ba.report import BundleReport, ImageReport, RoundReport
from vggt_sfm.ba.rounds import Rounds
from vggt_sfm.ba.selection import largest_component, with_two_views

_logger = get_logger(__name__)

_REFERENCE_WIDTH_PX = 518
# A refined focal length may differ from its start by this factor at most.
_MAX_FOCAL_CHANGE = 3.0
# An adjustment that explains fewer of its observations is not believed.
_LEAST_INLIER_RATIO = 0.3
# An image that keeps less than this share of what the median image keeps may be misplaced.
_DOUBTFUL = 0.5


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Outcome:
    """What the verdict and the report are made from."""

    status: Literal["refined", "rejected", "skipped"]
    reason: str
    bundle: Bundle
    """In the world of the seed."""
    refined: Bool  # (S,) images that were adjusted and keep enough observations
    kept: Bool  # (M,) observations of the returned model
    rounds: tuple[RoundReport, ...] = ()
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
    if outcome.status == "refined":
        result = write_bundle(outcome.bundle, reconstruction, outcome.kept)
    else:
        result = pycolmap.Reconstruction(reconstruction)
        result.update_point_3d_errors()
    report = BundleReport(
        status=outcome.status,
        reason=outcome.reason,
        images=_image_reports(seed, outcome),
        rounds=outcome.rounds,
        inlier_ratio_before=outcome.inlier_ratios[0],
        inlier_ratio_after=outcome.inlier_ratios[1],
        mean_reprojection_error_px=(
            result.compute_mean_reprojection_error() if result.num_points3D() else None
        ),
        focal_before_px=_median_focal(seed),
        focal_after_px=_median_focal(outcome.bundle),
        seconds=time.monotonic() - started,
    )
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
    )
    if len(seed.image_ids) < 2:
        return replace(unchanged, reason="one image")
    unusable = _unusable_images(seed)
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
    if not rounds.reports:
        return replace(unchanged, reason="the time was up before the first round")
    limit_px = config.max_error_px * px
    tried = replace(
        unchanged,
        rounds=tuple(rounds.reports),
        inlier_ratios=(
            float(np.mean(measure(seed)[0][candidates] <= limit_px)),
            float(np.mean(measure(rounds.bundle)[0][candidates] <= limit_px)),
        ),
    )
    believable = _plausible_focal(seed, rounds.bundle)
    believable &= _count(seed.image_of[kept], len(images)) >= config.min_observations
    kept = with_two_views(seed, kept & believable[seed.image_of])
    refined: Bool = np.asarray(_count(seed.image_of[kept], len(images)) > 0)
    reason = _reason_to_reject(rounds, refined, tried.inlier_ratios)
    if reason:
        return replace(tried, status="rejected", reason=reason)
    aligned = align(rounds.bundle, seed, refined, kept)
    poses = np.where(refined[:, None, None], aligned.cam_from_world, seed.cam_from_world)
    return replace(
        tried,
        status="refined",
        bundle=replace(aligned, cam_from_world=poses),
        refined=refined,
        kept=kept,
    )


def _unusable_images(seed: Bundle) -> Bool:
    """Mark the (S,) images whose pose or intrinsics Ceres could not start from."""
    camera_is_bad = np.array(
        [
            not np.isfinite(camera.params).all() or camera.mean_focal_length() <= 0
            for camera in seed.cameras
        ]
    )
    pose_is_good: Bool = np.asarray(np.isfinite(seed.cam_from_world).all(axis=(1, 2)))
    bad: Bool = camera_is_bad[seed.camera_of] | ~pose_is_good
    for name in np.array(seed.names)[bad]:
        _logger.warning("adjust: %s is left out: its predicted camera is not finite", name)
    return bad


def _plausible_focal(seed: Bundle, solved: Bundle) -> Bool:
    before, after = focal_lengths(seed), focal_lengths(solved)
    return np.asarray((after < _MAX_FOCAL_CHANGE * before) & (after * _MAX_FOCAL_CHANGE > before))


def _finite_observations(seed: Bundle) -> Bool:
    xyz = seed.xyz[seed.point_of]
    return np.asarray(np.isfinite(seed.xy).all(axis=1) & np.isfinite(xyz).all(axis=1))


def _reason_to_reject(rounds: Rounds, refined: Bool, inlier_ratios: tuple[float, float]) -> str:
    """Say why an adjustment is not believed, or return an empty string.

    Ceres' own summary is no evidence: its cost falls when points move behind their cameras.
    """
    before, after = inlier_ratios
    if not any(report.usable for report in rounds.reports):
        return "Ceres found no usable solution"
    if refined.sum() < 2:
        return "fewer than two images kept enough observations and a plausible focal length"
    if after < before:
        return f"it fits {after:.0%} of the observations, the prediction {before:.0%}"
    if after < _LEAST_INLIER_RATIO:
        return f"it fits only {after:.0%} of the observations"
    return ""


def _image_reports(seed: Bundle, outcome: _Outcome) -> tuple[ImageReport, ...]:
    before = _count(seed.image_of, len(seed.names))
    after = _count(seed.image_of[outcome.kept], len(seed.names))
    share = after / np.maximum(before, 1)
    typical = np.median(share[outcome.refined]) if outcome.refined.any() else 0.0
    return tuple(
        ImageReport(
            name=name,
            status=_image_status(bool(outcome.refined[s]), bool(share[s] < _DOUBTFUL * typical)),
            observations=int(before[s]),
            inliers=int(after[s]),
        )
        for s, name in enumerate(seed.names)
    )


def _image_status(refined: bool, doubtful: bool) -> Literal["refined", "doubtful", "predicted"]:
    if not refined:
        return "predicted"
    return "doubtful" if doubtful else "refined"


def _count(rows: Int64, length: int) -> Int64:
    return np.bincount(rows, minlength=length).astype(np.int64)


def _median_focal(bundle: Bundle) -> float | None:
    return float(np.median(focal_lengths(bundle))) if len(bundle.image_ids) else None
