"""Balance: points where an image has none yet, and no crowds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.scene import Frame
from vggt_sfm.tracking.linking import Observations
from vggt_sfm.tracking.matches import VerifiedMatches, verified_matches

_CELLS = 12  # along the longer side of an image
_ENOUGH = 2  # points in a cell


def where_sparse(
    extra: VerifiedMatches, tracked: Observations, frames: Sequence[Frame]
) -> VerifiedMatches:
    """Keep the matches that have an end where an image has few tracked points.

    Args:
        extra: Matches of a less exact source.
        tracked: What the more exact ones found.
        frames: The photographs.

    Returns:
        The matches that are kept, with the keypoints as they are.
    """
    sparse: list[Bool] = []
    for s, frame in enumerate(frames):
        taken = _cells(tracked.xy[tracked.frame_index == s], frame)
        counts = np.bincount(taken, minlength=(_CELLS + 1) ** 2)
        sparse.append(counts[_cells(extra.keypoints[s], frame)] < _ENOUGH)
    kept = {
        (i, j): rows[sparse[i][rows[:, 0]] | sparse[j][rows[:, 1]]]
        for (i, j), rows in zip(extra.pairs.tolist(), extra.matches, strict=True)
    }
    return verified_matches(extra.source, extra.keypoints, kept)


def without_crowds(tracked: Observations, crowding: int, frames: Sequence[Frame]) -> Bool:
    """Choose tracks of a source so that cells of images are filled and no more.

    The longest tracks of a cell come first. A track stays if it is needed in any of its frames.

    Args:
        tracked: All observations.
        crowding: Number of the source that is thinned out.
        frames: The photographs.

    Returns:
        (N,) tracks that stay; those with a point of another source always do.
    """
    lengths = np.bincount(tracked.track_index)
    other = np.bincount(tracked.track_index, tracked.source != crowding) > 0
    keep: Bool = other.copy()
    for s, frame in enumerate(frames):
        rows = np.flatnonzero(tracked.frame_index == s)
        track = tracked.track_index[rows]
        cell = _cells(tracked.xy[rows], frame)
        order = np.lexsort((-lengths[track], ~other[track], cell))
        rank = np.arange(len(order)) - np.searchsorted(cell[order], cell[order])
        keep[track[order[rank < _ENOUGH]]] = True
    return keep


def _cells(xy: Float64, frame: Frame) -> Int64:
    """Return the (n,) cells of a square grid that (n, 2) points lie in."""
    side = max(frame.size) / _CELLS
    cell = np.clip(np.floor(xy / side), 0, _CELLS).astype(np.int64)
    return np.asarray(cell[:, 1] * (_CELLS + 1) + cell[:, 0])
