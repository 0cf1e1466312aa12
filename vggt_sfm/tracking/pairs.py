"""Which pairs of frames are worth matching."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.scene import Predictions
from vggt_sfm.tracking.guidance import Guidance

_ALL_OVERLAPPING_UP_TO = 12  # frames
_LEAST_OVERLAP = 0.1
_MATCHES_LIKE_FULL_OVERLAP = 300


def all_pairs(count: int) -> Int64:
    """Return the (P, 2) pairs of ``count`` frames, first < second, ascending."""
    return np.stack(np.triu_indices(count, k=1), axis=1).astype(np.int64)


def covisibility(guidance: Guidance, predictions: Predictions) -> Float64:
    """Rate how much two frames have in common.

    Returns:
        (S, S) symmetric, 0 to 1: the share of their areas that is predicted to be seen by both,
        or what the number of the network's own matches says, whichever is more.
    """
    overlap = guidance.overlap()
    score = np.sqrt(overlap * overlap.T)
    matches = predictions.matches
    if matches is not None:
        counts = np.diff(matches.offsets) / _MATCHES_LIKE_FULL_OVERLAP
        i, j = matches.pairs.T
        score[i, j] = score[j, i] = np.maximum(score[i, j], np.minimum(counts, 1.0))
    np.fill_diagonal(score, 0)
    return score


def choose_pairs(score: Float64, neighbors: int) -> Int64:
    """Choose pairs so that their number grows with overlap, not with the square of the frames.

    Args:
        score: (S, S) covisibility.
        neighbors: Partners a frame; of few frames, all that overlap are taken.

    Returns:
        (P, 2) pairs, first < second, ascending. What overlaps at all is connected.
    """
    count = len(score)
    if count < 2:
        return np.empty((0, 2), np.int64)
    wanted: Bool = score >= _LEAST_OVERLAP
    if count > _ALL_OVERLAPPING_UP_TO:
        best = np.argsort(-score, axis=1, kind="stable")[:, :neighbors]
        near = np.zeros_like(wanted)
        near[np.arange(count)[:, None], best] = True
        wanted &= near | near.T
    tree = minimum_spanning_tree(np.where(score > 0, 1 / np.maximum(score, 1e-6), 0)).toarray() > 0
    i, j = np.nonzero(np.triu(wanted | tree | tree.T, k=1))
    return np.stack([i, j], axis=1).astype(np.int64)
