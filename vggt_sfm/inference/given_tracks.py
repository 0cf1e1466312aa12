"""Tracks of points through many frames, as matches between pairs of frames."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Int64
from vggt_sfm.inference.point_tracks import FollowedPoints
from vggt_sfm.scene import Matches


def track_matches(tracks: FollowedPoints) -> Matches:
    """Pair the places where each point was seen.

    Of the frames that see a point, each is paired with the next one, the second next, the fourth
    next and so on: near pairs that are easily verified, and far ones that hold a track together
    where a near one fails, without all pairs of hundreds of frames.

    Args:
        tracks: N points in S frames, NaN or hardly visible where they are not seen.

    Returns:
        Matches whose confidence is that of the less certain place.
    """
    point, frame = np.nonzero(tracks.usable.T)  # by point, then frame
    xy = tracks.xy[frame, point]
    trust = (tracks.visibility * tracks.confidence)[frame, point]
    first, second = _ends(point)
    order = np.lexsort((first, frame[second], frame[first]))
    first, second = first[order], second[order]
    pairs, counts = np.unique(
        np.stack([frame[first], frame[second]], axis=1), axis=0, return_counts=True
    )
    return Matches(
        pairs=pairs.reshape(-1, 2).astype(np.int64),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        xy=np.concatenate([xy[first], xy[second]], axis=1).astype(np.float32),
        confidence=np.minimum(trust[first], trust[second]).astype(np.float32),
    )


def _ends(point: Int64) -> tuple[Int64, Int64]:
    """Return the rows of both ends of each pair, given the (M,) points of sorted rows."""
    longest = int(np.bincount(point).max(initial=0))
    hops = [2**k for k in range(max(longest - 1, 0).bit_length())]
    firsts = [np.flatnonzero(point[hop:] == point[:-hop]) for hop in hops]
    none = np.empty(0, np.int64)
    first = np.concatenate([none, *firsts])
    second = np.concatenate([none, *(rows + hop for rows, hop in zip(firsts, hops, strict=True))])
    return first, second
