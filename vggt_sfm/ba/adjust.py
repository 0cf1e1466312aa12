"""Bundle adjustment of a seeded model: what takes part, the rounds, and the verdict."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, Int64
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.ba.acceptance import impossible_cameras, plausible_cameras, reason_to_reject
from vggt_sfm.ba.bundle import (
    Bundle,
    focal_lengths,
    measure,
    pixels_a_reference_pixel,
    read_bundle,
    write_bundle,
)
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.ba.covariance import PoseSigma, pose_sigmas
from vggt_sfm.ba.distortion import without_zero_distortion
from vggt_sfm.ba.knowledge import NOTHING, Knowledge
from vggt_sfm.ba.report import BundleReport, ImageReport
from vggt_sfm.ba.rig_model import with_rigs
from vggt_sfm.ba.rounds import Rounds
from vggt_sfm.ba.selection import largest_component, with_two_views
from vggt_sfm.ba.statuses import image_reports
from vggt_sfm.ba.suspects import doubtful_pairs

_logger = get_logger(__name__)

# At the reference width: the noise of good observations, and how much one can say.
_USUAL_PX, _WORST_PX = 0.2, 4.0
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
    reconstruction: pycolmap.Reconstruction,
    config: BundleConfig,
    progress: Progress,
    knowledge: Knowledge = NOTHING,
) -> tuple[pycolmap.Reconstruction, BundleReport]:
    """Refine poses, intrinsics and points of a model, and keep the result only if it is better.

    Bad geometry is never an error: a model that cannot be adjusted, or is not better for it,
    comes back as it was, and the report says why.

    Args:
        reconstruction: The start, unchanged; every image is a frame of its own.
        config: Options.
        progress: Counts solver iterations.
        knowledge: What a user knows of poses, in the model's world, of intrinsics and of rigs.

    Returns:
        A new model with the world frame and ids of the start, without outlier observations, and
        the report. Images that could not be refined keep their pose and lose their observations,
        but those of a rig stay with its other cameras. Ids of rigs and frames are new where rigs
        are held.
    """
    started = time.monotonic()
    seed = read_bundle(reconstruction)
    outcome = _adjust(seed, config, progress, knowledge)
    sigmas: dict[int, PoseSigma] = {}
    if outcome.status == "refined":
        result = write_bundle(outcome.bundle, reconstruction, outcome.kept)
        sigmas = _sigmas(result, seed, outcome)  # of free images: a rig makes them smaller
        if outcome.bundle.rigs is not None:
            result = with_rigs(result, outcome.bundle)
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
    if report.rig:
        level = logging.WARNING if report.rig.startswith("not") else logging.INFO
        _logger.log(level, "adjust: cameras of rigs are %s", report.rig)
    return result, report


def _adjust(
    seed: Bundle, config: BundleConfig, progress: Progress, knowledge: Knowledge
) -> _Outcome:
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
    unusable = impossible_cameras(seed)
    for name in np.array(seed.names)[unusable]:
        _logger.warning("adjust: %s is left out: its predicted camera is not finite", name)
    usable = with_two_views(seed, ~unusable[seed.image_of] & _finite_observations(seed))
    if not usable.any():
        return replace(unchanged, reason="no track is seen by two usable images")
    images = largest_component(seed, usable)
    candidates = with_two_views(seed, usable & images[seed.image_of])
    if images.sum() < 2:
        return replace(unchanged, reason="no two images share enough tracks")

    px = pixels_a_reference_pixel(seed)
    with progress.task("adjust", None) as task:
        rounds = Rounds(seed, candidates, px, config, knowledge, task.advance)
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
    believable = plausible_cameras(seed, rounds.bundle)
    believable &= _count(seed.image_of[kept], len(images)) >= config.min_observations
    kept = with_two_views(seed, kept & believable[seed.image_of])
    # What tied images together may be wrong matches, as between photographs of two places.
    tied = largest_component(seed, kept, config.min_observations)
    kept = with_two_views(seed, kept & tied[seed.image_of])
    tried = replace(tried, connected=images & (tied | ~believable))
    refined: Bool = np.asarray(_count(seed.image_of[kept], len(images)) > 0)
    reason = reason_to_reject(seed, rounds, refined, tried.inlier_ratios)
    if reason:
        return replace(tried, status="rejected", reason=reason)
    return _in_the_seeds_world(tried, rounds, refined, kept, 1.01 * limit_px)


def _in_the_seeds_world(
    tried: _Outcome, rounds: Rounds, refined: Bool, kept: Bool, limit_px: float
) -> _Outcome:
    """Accept an adjustment, if it survives the way back to the world of the seed."""
    seed = tried.bundle
    try:
        aligned = rounds.in_the_seeds_world(refined, kept)
    except ValueError:
        return replace(tried, status="rejected", reason=_TOO_SMALL)
    if not np.all(measure(aligned)[0][kept] <= limit_px):
        return replace(tried, status="rejected", reason=_TOO_SMALL)
    aligned = without_zero_distortion(aligned, seed)
    poses = np.where(refined[:, None, None], aligned.cam_from_world, seed.cam_from_world)
    if aligned.rigs is not None:
        poses = aligned.rigs.held_together(poses, refined.astype(np.float64))
    return replace(
        tried,
        status="refined",
        bundle=replace(aligned, cam_from_world=poses),
        refined=refined,
        kept=kept,
    )


def _finite_observations(seed: Bundle) -> Bool:
    xyz = seed.xyz[seed.point_of]
    return np.asarray(np.isfinite(seed.xy).all(axis=1) & np.isfinite(xyz).all(axis=1))


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
        impossible=impossible_cameras(seed),
        reason=outcome.reason,
        fitting=outcome.inlier_ratios[1],
        sigmas=sigmas,
        by_rig=_by_rig(outcome),
    )
    return BundleReport(
        status=outcome.status,
        reason=outcome.reason,
        images=images,
        doubtful_pairs=doubtful_pairs(seed, outcome.kept) if outcome.refined.any() else (),
        rounds=tuple(outcome.rounds.reports) if outcome.rounds else (),
        trials=verdict.trials if verdict else (),
        held_out_before_px=verdict.before_px if verdict else None,
        held_out_after_px=verdict.after_px if verdict else None,
        inlier_ratio_before=outcome.inlier_ratios[0],
        inlier_ratio_after=outcome.inlier_ratios[1],
        misfit=_misfit(outcome) if outcome.status == "refined" else None,
        mean_reprojection_error_px=_mean_error(result),
        focal_before_px=_median_focal(seed),
        focal_after_px=_median_focal(outcome.bundle),
        seconds=seconds,
        rig=outcome.rounds.rig if outcome.rounds and outcome.status == "refined" else "",
    )


def _by_rig(outcome: _Outcome) -> Bool:
    """Mark the (S,) images that stand where adjusted images of their rig put them."""
    rigs = outcome.bundle.rigs
    if rigs is None:
        return np.zeros(len(outcome.refined), bool)
    return np.asarray(rigs.shared(outcome.refined) & ~outcome.refined)


def _misfit(outcome: _Outcome) -> float:
    """Return the mean Cauchy cost of all observations, at the noise of good ones."""
    px = pixels_a_reference_pixel(outcome.bundle)
    error = np.where(outcome.kept, measure(outcome.bundle)[0], np.inf)
    return float(np.log1p(np.square(np.minimum(error / px, _WORST_PX) / _USUAL_PX)).mean())


def _mean_error(model: pycolmap.Reconstruction) -> float | None:
    """Return pycolmap's mean; None without points, and with points that have no projection."""
    error = model.compute_mean_reprojection_error() if model.num_points3D() else np.inf
    return error if error < 1e6 else None


def _count(rows: Int64, length: int) -> Int64:
    return np.bincount(rows, minlength=length).astype(np.int64)


def _median_focal(bundle: Bundle) -> float | None:
    return float(np.median(focal_lengths(bundle))) if len(bundle.image_ids) else None
