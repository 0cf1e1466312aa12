"""Finds the features of one image in windows of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vggt_sfm._checks import Bool, Float32, Float64, Int64
from vggt_sfm.tracking.guidance import Window, epipolar_lines

# Features are searched for in blocks with a common window: so many along the longer side at most.
_BLOCKS = 4
_POINTS_A_BLOCK = 80  # at least, on average: a block has a price of its own
# Of descriptors. In a small window the best of a few candidates often has no rival, so the ratio
# test says little: on fountain-P11, of matches below this a third to a half were off by a pixel.
_LEAST_COSINE = 0.93
_NO_MATCH = -1.0
_FAR_PX = 1e6  # beyond every image, and exact enough as a float32
_MOST_AT_ONCE = 4096  # rows that are compared with a whole image


class SearchPoints(NamedTuple):
    """Points of one image and what they look like."""

    xy: Float32  # (K, 2) px
    descriptors: Float32  # (K, D) unit vectors


def search(
    first: SearchPoints,
    second: SearchPoints,
    places: Float64,
    window: Window,
    F: Float64,
    *,
    max_ratio: float,
) -> Int64:
    """Match points whose descriptors are each other's nearest within their windows.

    Args:
        first: Points that are searched for.
        second: Points that are searched.
        places: (K, 2) where the first points are predicted in the second image, px; NaN for
            points that are not looked for, unless the window is infinite.
        window: Distance from ``places`` and from the epipolar lines.
        F: (3, 3) predicted, ``x_second^T F x_first = 0``.
        max_ratio: Largest ratio of the angles to the best and the second-best descriptor.

    Returns:
        (n, 2) rows of both, ascending in the first.
    """
    count = len(first.xy)
    partner = np.zeros(count, np.int64)
    best = np.full((2, count), _NO_MATCH, np.float32)
    back = np.full(len(second.xy), -1)
    back_best = np.full(len(second.xy), _NO_MATCH, np.float32)
    lines = epipolar_lines(F, first.xy.astype(np.float64)).astype(np.float32)
    near = np.clip(places, -_FAR_PX, _FAR_PX).astype(np.float32)
    for rows, columns in _blocks(near, second.xy, window):
        scores = first.descriptors[rows] @ second.descriptors[columns].T
        if np.isfinite(window.radius):
            outside = _outside(near[rows], lines[rows], second.xy[columns], window)
            scores[outside] = _NO_MATCH
        mine, theirs = scores.argmax(axis=1), scores.argmax(axis=0)
        theirs_best = scores[theirs, np.arange(len(columns))]
        better = theirs_best > back_best[columns]
        back_best[columns[better]] = theirs_best[better]
        back[columns[better]] = rows[theirs[better]]
        partner[rows] = columns[mine]
        here = np.arange(len(rows))
        best[0, rows] = scores[here, mine]
        scores[here, mine] = _NO_MATCH
        best[1, rows] = scores.max(axis=1)
    nearest, next_nearest = np.arccos(np.clip(best, -1, 1))
    good = (best[0] > _LEAST_COSINE) & (nearest < max_ratio * next_nearest)
    chosen = np.flatnonzero(good)
    chosen = chosen[back[partner[chosen]] == chosen]
    return np.stack([chosen, partner[chosen]], axis=1).astype(np.int64)


def _blocks(places: Float32, xy: Float32, window: Window) -> Iterator[tuple[Int64, Int64]]:
    """Group points by predicted place; yield each group's rows and the rows of its candidates."""
    if not len(xy):
        return
    if not np.isfinite(window.radius):
        for start in range(0, len(places), _MOST_AT_ONCE):
            yield np.arange(start, min(start + _MOST_AT_ONCE, len(places))), np.arange(len(xy))
        return
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    if not len(known):
        return
    blocks = np.clip(np.sqrt(len(known) / _POINTS_A_BLOCK), 1, _BLOCKS)
    size = max(float(np.ptp(xy, axis=0).max()) / blocks, window.radius / 2, 1.0)
    # far outside of the image nothing is found; clipped, so that the key stays an integer
    cell = np.clip(places[known] / size, -100, 1000).astype(np.int64)
    key = cell[:, 1] * 2000 + cell[:, 0]
    order = np.argsort(key, kind="stable")
    for rows in np.split(known[order], np.flatnonzero(np.diff(key[order])) + 1):
        low = places[rows].min(axis=0) - window.radius
        high = places[rows].max(axis=0) + window.radius
        columns = np.flatnonzero(((xy >= low) & (xy <= high)).all(axis=1))
        if len(columns):
            yield rows, columns


def _outside(places: Float32, lines: Float32, xy: Float32, window: Window) -> Bool:
    """Return (q, c) whether candidates are too far from places or lines."""
    dx, dy = places[:, :1] - xy[:, 0], places[:, 1:] - xy[:, 1]
    distance = dx * dx + dy * dy
    off_line = np.abs(lines[:, :2] @ xy.T + lines[:, 2:])
    outside: Bool = (distance > window.radius**2) | (off_line > window.band)
    return outside
