"""Similarities through a few positions each, one of which is free of outliers."""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations
from math import comb

import numpy as np

from vggt_sfm._checks import Float64, Int64
from vggt_sfm.geometry.alignment import umeyama

_MOST = 120  # all of up to 10 positions; where half of more are wrong, 15 triples are right
_SEED = 0

Candidate = tuple[float, Float64, Float64]
"""Scale, (3, 3) rotation and (3,) translation, as ``umeyama`` returns them."""


def through_triples(source: Float64, target: Float64) -> list[Candidate]:
    """Fit similarities through three positions each, and one through all.

    Args:
        source: (N, 3) points.
        target: (N, 3) the same elsewhere; rows with NaN are passed over.

    Returns:
        Those that exist: three coinciding positions have none.
    """
    complete = np.flatnonzero(np.isfinite(target).all(axis=1))
    if len(complete) < 3:
        return []
    found = []
    for rows in [*complete[_subsets(len(complete), 3)], complete]:
        with suppress(ValueError):  # they coincide
            found.append(umeyama(source[rows], target[rows]))
    return found


def through_pairs(source: Float64, target: Float64, up: Float64) -> list[Candidate]:
    """Fit similarities through two positions each that turn ``up`` to the third axis.

    Args:
        source: (N, 3) points.
        target: (N, 3) the same elsewhere; the third coordinate may be NaN.
        up: (3,) unit vector in the frame of ``source``.

    Returns:
        Those that exist: two coinciding positions have none.
    """
    level = _rotation_to_z(up)
    upright = source @ level.T
    known = np.isfinite(target[:, 2])
    found = []
    for i, j in _subsets(len(source), 2):
        before, after = upright[j] - upright[i], target[j] - target[i]
        axes = 3 if np.isfinite(after[2]) else 2
        lengths = np.linalg.norm(before[:axes]), np.linalg.norm(after[:axes])
        if min(lengths) == 0:
            continue
        scale = float(lengths[1] / lengths[0])
        heading = np.arctan2(after[1], after[0]) - np.arctan2(before[1], before[0])
        cos, sin = np.cos(heading), np.sin(heading)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        offset = target - scale * upright @ turn.T
        height = np.median(offset[known, 2]) if known.any() else 0.0
        translation = np.array([*np.median(offset[:, :2], axis=0), height])
        found.append((scale, turn @ level, translation))
    return found


def _subsets(num: int, size: int) -> Int64:
    """Return (K, size) different numbers below ``num``: all choices, or many of them."""
    if comb(num, size) <= _MOST:
        return np.array(list(combinations(range(num), size)), np.int64).reshape(-1, size)
    rng = np.random.default_rng(_SEED)
    drawn = rng.integers(0, num, (2 * _MOST, size))
    apart = (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all(axis=1)
    return drawn[apart][:_MOST]


def _rotation_to_z(up: Float64) -> Float64:
    """Return a (3, 3) rotation that turns a unit vector to the third axis."""
    other = np.eye(3)[np.argmin(np.abs(up))]
    east = np.cross(other, up)
    east /= np.linalg.norm(east)
    return np.stack([east, np.cross(up, east), up])
