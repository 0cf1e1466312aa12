"""Joins pairwise matches into multi-view tracks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.tracking.matches import VerifiedMatches


class Observations(NamedTuple):
    """M observations sorted by track, then frame; no track sees a frame twice."""

    track_index: Int64  # (M,) 0 … N-1, ascending, each at least twice
    frame_index: Int64  # (M,)
    xy: Float64  # (M, 2) original px


def link(verified: VerifiedMatches, conflict_px: Float64) -> Observations:
    """Follow matches from image to image: every connected set of keypoints is a track.

    Args:
        verified: Matches of one source.
        conflict_px: (S,) where a track has several keypoints in one frame within this distance
            of the best connected one, that one stands for all; where they are farther apart, at
            most one can be right, and the track loses all of them.

    Returns:
        The tracks that still see two frames.
    """
    counts = [len(xy) for xy in verified.keypoints]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    edges = [
        rows + start[pair] for pair, rows in zip(verified.pairs, verified.matches, strict=True)
    ]
    edge = np.concatenate([np.empty((0, 2), np.int64), *edges])
    degree = np.bincount(edge.ravel(), minlength=start[-1])
    graph = coo_array((np.ones(len(edge), bool), (edge[:, 0], edge[:, 1])), (start[-1],) * 2)
    _, component = connected_components(graph, directed=False)

    frame = np.repeat(np.arange(len(counts)), counts)
    xy = np.concatenate([np.empty((0, 2)), *verified.keypoints])
    matched = np.flatnonzero(degree)
    order = matched[np.lexsort((-degree[matched], frame[matched], component[matched]))]
    kept = order[_unambiguous(component[order], frame[order], xy[order], conflict_px)]

    _, track, length = np.unique(component[kept], return_inverse=True, return_counts=True)
    long_enough = length[track] >= 2
    kept = kept[long_enough]
    _, track = np.unique(track[long_enough], return_inverse=True)
    return Observations(track.astype(np.int64), frame[kept].astype(np.int64), xy[kept])


def _unambiguous(component: Int64, frame: Int64, xy: Float64, conflict_px: Float64) -> Bool:
    """Mark the best keypoint of every (component, frame) group that agrees with itself.

    All arrays are sorted by component, then frame, then best first.
    """
    if not len(component):
        return np.empty(0, bool)
    first = np.append(True, (np.diff(component) != 0) | (np.diff(frame) != 0))
    group = np.cumsum(first) - 1
    best_xy = xy[first][group]
    far = np.linalg.norm(xy - best_xy, axis=1) > conflict_px[frame]
    ambiguous = np.bincount(group, far) > 0
    return np.asarray(first & ~ambiguous[group])
