"""Whether an adjustment is believed: possible cameras, and evidence that they are better."""

from __future__ import annotations

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool
from vggt_sfm.ba.bundle import Bundle, focal_lengths
from vggt_sfm.ba.evidence import Verdict
from vggt_sfm.ba.rounds import Rounds

# A refined focal length may differ from its start by this factor at most.
_MAX_FOCAL_CHANGE = 3.0
# More than this, and held-out tracks must fit better by as much as exceeds it: focal lengths and
# poses can trade along a valley where errors hardly change. On 203 rendered scenes without this
# rule, the five worst adjustments had changed focal lengths by 1.7 to 2.7.
_FREE_FOCAL_CHANGE = 1.5
# Principal points farther from their start, and distortions that move a corner farther, of the
# longer side, are no camera's but a scene's that does not determine them.
_MAX_CENTER_CHANGE = 0.15
_MAX_CORNER_CHANGE = 0.2
# An adjustment that explains fewer of its observations is not believed.
_LEAST_INLIER_RATIO = 0.3


def impossible_cameras(seed: Bundle) -> Bool:
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


def plausible_cameras(seed: Bundle, solved: Bundle) -> Bool:
    """Mark the (S,) images whose refined intrinsics a real camera may have."""
    before, after = focal_lengths(seed), focal_lengths(solved)
    plausible = (after < _MAX_FOCAL_CHANGE * before) & (after * _MAX_FOCAL_CHANGE > before)
    for row, (old, new) in enumerate(zip(seed.cameras, solved.cameras, strict=True)):
        moved = [
            new.principal_point_x - old.principal_point_x,
            new.principal_point_y - old.principal_point_y,
        ]
        possible = np.abs(moved).max() <= _MAX_CENTER_CHANGE * max(old.width, old.height)
        possible &= _corner_change(old, new) <= _MAX_CORNER_CHANGE
        plausible[seed.camera_of == row] &= bool(possible)
    return np.asarray(plausible)


def reason_to_reject(
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


def _corner_change(old: pycolmap.Camera, new: pycolmap.Camera) -> float:
    """Return how far new coefficients of distortion move the corners, of the longer side."""
    extra = list(new.extra_params_idxs())
    if not extra:
        return 0.0
    params = np.array(new.params)
    params[extra] = np.array(old.params)[extra] if old.model == new.model else 0.0
    before = pycolmap.Camera({**new.todict(), "params": params})
    size = np.array([new.width, new.height], np.float64)
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * size
    seen = np.column_stack([np.asarray(before.cam_from_img(corners)), np.ones(4)])
    off = np.linalg.norm(np.asarray(new.img_from_cam(seen)) - corners, axis=1) / size.max()
    return float(np.nan_to_num(off, nan=np.inf).max())


def _worse_for_held_out(verdict: Verdict) -> str:
    return (
        f"tracks that were held out fit it no better than the prediction: median error "
        f"{verdict.after_px:.2f} px instead of {verdict.before_px:.2f} px"
    )


def _focal_change(seed: Bundle, solved: Bundle, refined: Bool) -> float:
    """By which factor, 1 or more, the usual focal length of the refined images has changed."""
    ratio = float(np.median(focal_lengths(solved)[refined] / focal_lengths(seed)[refined]))
    return max(ratio, 1 / ratio)
