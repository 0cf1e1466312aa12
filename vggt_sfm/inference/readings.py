"""Which way do poses point that somebody else has made, and along which axes?

``world_from_cam`` saved as ``cam_from_world``, or cameras with their y axis up, make a model that
is wrong in ways hard to see. But where depth is known, it can be compared: under the right reading
of the poses, neighbouring photographs see the same surface at the same depth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.inference.track_positions import depth_differences
from vggt_sfm.scene import Predictions
from vggt_sfm.tracking.seeding import sample_depth

_OPENGL = np.array([1.0, -1.0, -1.0])[:, None]  # y up and z back, to y down and z forward
_FRAMES = 12  # that are compared with others
_NEAR = 4  # others on each side in the order of the file
_FAR = 12  # others spread over all frames
_GRID = (16, 12)
# Relative differences of depth on one surface. Networks of today are within a few percent; the
# narrow limits tell readings apart where cameras hardly move, or before a wall.
_SAME_SURFACE = (0.1, 0.05, 0.02)
# Another reading is believed that agrees at this share of the places at least, and at so many times
# as many as the given one. On 64 rendered scenes with 3 % of noise and 3 % of scale errors in depth
# all wrong readings are found; no right one was refused, with 20 % and 25 % neither.
_CLEAR_SHARE = 0.2
_CLEARLY = 2.0

_OTHERS = (
    ("world_from_cam (camera to world)", "invert it"),
    (
        "that of cameras with OpenGL's axes (y up, z back)",
        "multiply it by diag(1, -1, -1, 1) from the left",
    ),
    (
        "world_from_cam (camera to world) with OpenGL's axes (y up, z back)",
        "multiply it by diag(1, -1, -1, 1) from the right, then invert it",
    ),
)
"""What poses may be instead, and what to do about it."""


def doubt(predictions: Predictions) -> str | None:
    """Compare the depth of photographs with that of their neighbours.

    Args:
        predictions: What somebody else's network says.

    Returns:
        What to remark where poses, intrinsics and depth do not agree under any reading; None where
        they do, or where there is nothing to compare.

    Raises:
        InputError: If they agree clearly better under another reading of the poses.
    """
    if len(predictions.cam_from_world) < 2:
        return None
    readings = [
        _differences(replace(predictions, cam_from_world=poses))
        for poses in _readings(predictions.cam_from_world)
    ]
    scores = np.stack([_scores(readings, limit) for limit in _SAME_SURFACE])
    for given, *others in scores.tolist():
        best = int(np.argmax(others))
        if others[best] >= max(_CLEAR_SHARE, _CLEARLY * given):
            meaning, advice = _OTHERS[best]
            raise InputError(
                f"cam_from_world looks like {meaning}: depth of neighbouring photographs agrees at "
                f"{others[best]:.0%} of the pixels instead of {given:.0%}; {advice}"
            )
    if scores[0, 0] < _CLEAR_SHARE:
        return (
            f"depth of neighbouring photographs agrees at {scores[0, 0]:.0%} of the pixels only: "
            "poses, intrinsics and depth may not belong together, or be rough"
        )
    return None


def _readings(given: Float64) -> list[Float64]:
    """Return (S, 3, 4) poses as given, and as they would be if ``_OTHERS`` were meant."""
    return [given, invert(given), _OPENGL * given, _OPENGL * invert(given)]


def _differences(predictions: Predictions) -> Float64:
    """Compare depth in pairs of frames that may see the same.

    Returns:
        (P, N) relative differences; infinite for places where a point is out of sight, NaN for
        those that have no depth in their own frame.
    """
    count, height, width = predictions.depth.shape
    steps = [
        (np.arange(n) + 0.5) * side / n for n, side in zip(_GRID, (width, height), strict=True)
    ]
    xy = np.stack(np.meshgrid(*steps), axis=-1).reshape(-1, 2)
    found = []
    for s in _spread(count, _FRAMES):
        frames = np.array([s, *_neighbors(s, count)], np.int64)
        difference = np.abs(depth_differences(predictions, frames, xy)[1][1:])
        known = np.isfinite(sample_depth(predictions.depth[s], xy))
        found.append(np.where(known, np.nan_to_num(difference, nan=np.inf), np.nan))
    return np.concatenate(found)


def _scores(readings: list[Float64], limit: float) -> Float64:
    """Return for each reading at which share of the places depth agrees.

    Pairs count by how much they can agree: most of a long sequence show nothing in common.
    """
    with np.errstate(invalid="ignore"):
        agree = np.stack([(differences <= limit).sum(axis=1) for differences in readings])
    known = (~np.isnan(readings[0])).sum(axis=1)
    shares = agree / np.maximum(known, 1)
    weights = shares.max(axis=0)
    return np.asarray(shares @ weights / max(weights.sum(), 1e-9))


def _neighbors(s: int, count: int) -> list[int]:
    near = range(max(s - _NEAR, 0), min(s + _NEAR + 1, count))
    return sorted({*near, *_spread(count, _FAR)} - {s})


def _spread(count: int, most: int) -> list[int]:
    """Return up to so many numbers below ``count``, evenly spread."""
    return sorted({int(n) for n in np.linspace(0, count - 1, min(count, most)).round()})
