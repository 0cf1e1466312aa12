"""Joins pairwise matches of all sources into multi-view tracks: one physical point, one track."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from vggt_sfm._checks import Bool, Float64, Int64, UInt8
from vggt_sfm.tracking.matches import VerifiedMatches, verified_matches

# Where a track is at odds with itself, matches that fewer than so many third keypoints bear out are
# taken out, the weakest first.
_MOST_SUPPORT = 3


class Observations(NamedTuple):
    """M observations sorted by track, then frame; no track sees a frame twice."""

    track_index: Int64  # (M,) 0 … N-1, ascending, each at least twice
    frame_index: Int64  # (M,)
    xy: Float64  # (M, 2) original px
    source: UInt8  # (M,) number of the source that found the point in this frame


def link(found: Sequence[VerifiedMatches], same_px: Float64, conflict_px: Float64) -> Observations:
    """Follow matches from image to image: every connected set of keypoints is a track.

    Args:
        found: Matches of the sources, the most exact first.
        same_px: (S,) keypoints of a later source within this distance of one of an earlier
            source are the same point, at the earlier one's place.
        conflict_px: (S,) where a track has several keypoints in one frame within this distance
            of the best connected one, that one stands for all. Where they are farther apart, at
            most one can be right: the weakest matches of such a track are taken out, and what
            stays connected is followed again; a track that is still at odds with itself loses all
            of its keypoints in that frame.

    Returns:
        The tracks that still see two frames.
    """
    verified, source = _joined(found, same_px)
    counts = [len(xy) for xy in verified.keypoints]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    edges = [
        rows + start[pair] for pair, rows in zip(verified.pairs, verified.matches, strict=True)
    ]
    edge = np.concatenate([np.empty((0, 2), np.int64), *edges])
    frame = np.repeat(np.arange(len(counts)), counts)
    xy = np.concatenate([np.empty((0, 2)), *verified.keypoints])
    groups = _followed(edge, frame, xy, conflict_px)
    for support in range(_MOST_SUPPORT):
        if not groups.torn.any():
            break
        torn = np.flatnonzero(groups.torn[edge[:, 0]])
        weak = torn[_triangles(edge[torn], len(xy)) <= support]
        edge = np.delete(edge, weak, axis=0)
        groups = _followed(edge, frame, xy, conflict_px)

    kept = groups.kept
    _, track, length = np.unique(groups.component[kept], return_inverse=True, return_counts=True)
    long_enough = length[track] >= 2
    kept = kept[long_enough]
    _, track = np.unique(track[long_enough], return_inverse=True)
    return Observations(
        track.astype(np.int64), frame[kept].astype(np.int64), xy[kept], source[kept]
    )


class _Groups(NamedTuple):
    """Which of K keypoints are connected."""

    component: Int64  # (K,)
    kept: Int64  # (m,) rows, by component, then frame: the one that stands for others of its frame
    torn: Bool  # (K,) in a component that has far keypoints in one frame


def _followed(edge: Int64, frame: Int64, xy: Float64, conflict_px: Float64) -> _Groups:
    """Find what (E, 2) matches connect, and what of it agrees with itself."""
    count = len(xy)
    degree = np.bincount(edge.ravel(), minlength=count)
    graph = coo_array((np.ones(len(edge), bool), (edge[:, 0], edge[:, 1])), (count, count))
    _, component = connected_components(graph, directed=False)
    matched = np.flatnonzero(degree)
    order = matched[np.lexsort((-degree[matched], frame[matched], component[matched]))]
    best, far = _best_of_frames(component[order], frame[order], xy[order], conflict_px)
    torn = np.bincount(component[order], far, count) > 0
    return _Groups(component, order[best & ~far], torn[component])


def _triangles(edge: Int64, count: int) -> Int64:
    """Return for each of (E, 2) matches how many keypoints are matched to both of its own."""
    both = np.concatenate([edge, edge[:, ::-1]])
    graph = coo_array((np.ones(len(both), np.int64), tuple(both.T)), (count, count)).tocsr()
    return np.asarray(graph[edge[:, 0]].multiply(graph[edge[:, 1]]).sum(axis=1)).ravel()


def _joined(found: Sequence[VerifiedMatches], same_px: Float64) -> tuple[VerifiedMatches, UInt8]:
    """Put the keypoints of all sources together, near ones as one.

    Returns:
        The joined matches and the (K,) number of each keypoint's source, frame after frame.
    """
    keypoints: list[Float64] = []
    sources: list[UInt8] = []
    row_of: list[list[Int64]] = []  # by frame and source: where each keypoint went
    for s in range(len(same_px)):
        xy, source, rows = np.empty((0, 2)), np.empty(0, np.uint8), []
        for number, matches in enumerate(found):
            row, fresh = _rows_among(xy, matches.keypoints[s], float(same_px[s]))
            xy = np.concatenate([xy, matches.keypoints[s][fresh]])
            source = np.concatenate([source, np.full(int(fresh.sum()), number, np.uint8)])
            rows.append(row)
        keypoints.append(xy)
        sources.append(source)
        row_of.append(rows)
    joined: dict[tuple[int, int], list[Int64]] = {}
    for number, matches in enumerate(found):
        for (i, j), pair in zip(matches.pairs.tolist(), matches.matches, strict=True):
            both = [row_of[i][number][pair[:, 0]], row_of[j][number][pair[:, 1]]]
            joined.setdefault((i, j), []).append(np.stack(both, axis=1))
    distinct = {ij: np.unique(np.concatenate(parts), axis=0) for ij, parts in joined.items()}
    source_of = np.concatenate([np.empty(0, np.uint8), *sources])
    return verified_matches("all", keypoints, distinct), source_of


def _rows_among(known: Float64, xy: Float64, same_px: float) -> tuple[Int64, Bool]:
    """Return the row that each of (K, 2) points gets, and which of them are new."""
    nearest = np.zeros(len(xy), np.int64)
    fresh = np.ones(len(xy), bool)
    if len(known) and len(xy):
        distance, nearest = cKDTree(known).query(xy)
        fresh = distance > same_px
    row = np.where(fresh, len(known) + np.cumsum(fresh) - 1, nearest)
    return row.astype(np.int64), fresh


def _best_of_frames(
    component: Int64, frame: Int64, xy: Float64, conflict_px: Float64
) -> tuple[Bool, Bool]:
    """Mark the best keypoint of every (component, frame), and all of those that are far apart.

    All arrays are sorted by component, then frame, then best first.
    """
    if not len(component):
        return np.empty(0, bool), np.empty(0, bool)
    first = np.append(True, (np.diff(component) != 0) | (np.diff(frame) != 0))
    group = np.cumsum(first) - 1
    best_xy = xy[first][group]
    far = np.linalg.norm(xy - best_xy, axis=1) > conflict_px[frame]
    return first, np.asarray((np.bincount(group, far) > 0)[group])
