"""Do a track head's weights and its position embedding belong together?

Two kinds of track heads were published: one trained without, one with a position embedding in its
features. Nothing in a file tells them apart, and the wrong one still gives tracks, only worse ones.
But depth and cameras of the same pass say where a point must reappear, and that can be compared.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vggt_sfm._checks import Float64, Int64
from vggt_sfm._log import get_logger
from vggt_sfm.geometry.cameras import project, unproject
from vggt_sfm.scene import Predictions
from vggt_sfm.tracking.seeding import sample_depth

_CLEARLY_WORSE = 1.5  # times the other's error
_GOOD_SHARE = 0.015  # of the image's width: no evidence if the better one is not below it
_LEAST_PLACES = 30
_SAME_SURFACE = 0.05  # relative difference of depths
_logger = get_logger(__name__)


def places_by_depth(predictions: Predictions, frames: Int64, xy: Float64) -> Float64:
    """Say by depth and cameras where points of one frame lie in others.

    Args:
        predictions: Depth and cameras of S frames.
        frames: (T,) frame indices; the first is the points' own.
        xy: (N, 2) network px.

    Returns:
        (T, N, 2) network px; NaN where a point is out of sight or hidden.
    """
    places, difference = depth_differences(predictions, frames, xy)
    with np.errstate(invalid="ignore"):
        visible = np.abs(difference) <= _SAME_SURFACE
    return np.where(visible[..., None], places, np.nan)


def depth_differences(
    predictions: Predictions, frames: Int64, xy: Float64
) -> tuple[Float64, Float64]:
    """Say where points of one frame lie in others, and how far from the surface seen there.

    Args:
        predictions: Depth and cameras of S frames.
        frames: (T,) frame indices; the first is the points' own.
        xy: (N, 2) network px.

    Returns:
        (T, N, 2) network px, and (T, N) by how much points are farther than the surface, relative
        to its depth; NaN where a point is out of sight, or a depth unknown.
    """
    query = int(frames[0])
    depth = sample_depth(predictions.depth[query], xy)
    world = unproject(xy, depth, predictions.intrinsics[query], predictions.cam_from_world[query])
    places = np.full((len(frames), len(xy), 2), np.nan)
    difference = np.full((len(frames), len(xy)), np.nan)
    for t, s in enumerate(frames.tolist()):
        places[t], far = project(world, predictions.cam_from_world[s], predictions.intrinsics[s])
        difference[t] = far / sample_depth(predictions.depth[s], places[t]) - 1
    return places, difference


def median_distance(expected: Float64, found: Float64) -> float | None:
    """Return the median distance of (T, N, 2) places beyond the first frame; None if too few."""
    distance = np.linalg.norm(found - expected, axis=-1)[1:]
    distance = distance[np.isfinite(distance)]
    return float(np.median(distance)) if len(distance) >= _LEAST_PLACES else None


def settle_positions(
    measure: Callable[[bool], float | None], declared: bool | None, width: int
) -> tuple[bool, str | None]:
    """Decide whether a track head embeds positions.

    Args:
        measure: Returns the median distance, px, between tracks and where depth and cameras
            expect them, with the embedding (True) or without; None if it cannot be told.
        declared: What the user or the model's record says; None if nobody does.
        width: Of the network's images, px.

    Returns:
        The decision, which is what was declared if anything was, else what fits clearly better,
        else the published default, without; and a remark where the evidence speaks against it,
        or where it alone decided.
    """
    without, with_it = measure(False), measure(True)
    if without is None or with_it is None:
        return bool(declared), None
    _logger.debug("track head: %.2f px off without positions, %.2f px with", without, with_it)
    better, worse = min(without, with_it), max(without, with_it)
    clear = worse >= _CLEARLY_WORSE * better and better <= _GOOD_SHARE * width
    fitting = with_it < without
    if not clear or declared == fitting:
        return bool(declared), None
    evidence = (
        f"its tracks lie {with_it:.1f} px from where depth and cameras expect them with position "
        f"embedding, {without:.1f} px without"
    )
    word = "on" if fitting else "off"
    if declared is None:
        return (
            fitting,
            f"track head: {evidence}; taken as trained {'with' if fitting else 'without'}",
        )
    return declared, (
        f"track head: weights and position embedding do not match: {evidence}; "
        f"--predict.track-positions {word} fits"
    )
