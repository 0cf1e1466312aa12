"""The similarity that carries one point set onto another."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Bool, Float64, check_finite, check_shape

# A rotation that is off by this many times the median of all is a wrong one.
_MOST_MEDIANS = 4.0


def umeyama(source: Float64, target: Float64) -> tuple[float, Float64, Float64]:
    """Fit ``target ~ scale * rotation @ source + translation`` by least squares.

    Where the points do not fix the rotation (all on one line), it is one of the best ones.

    Args:
        source: (N, 3) points.
        target: (N, 3) the same points elsewhere.

    Returns:
        Scale > 0, (3, 3) rotation and (3,) translation.

    Raises:
        ValueError: If shapes differ, values are not finite or either set is a single position.

    Source: Umeyama, TPAMI 13(4), 1991, eq. 40-43.
    """
    dims = check_shape("umeyama.source", source, "N 3")
    check_shape("umeyama.target", target, "N 3", dims)
    check_finite("umeyama.source", source)
    check_finite("umeyama.target", target)
    if dims["N"] == 0:
        raise ValueError("umeyama: no points")
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_centered, target_centered = source - source_mean, target - target_mean
    variance = np.square(source_centered).sum() / len(source)
    u, singular, vt = np.linalg.svd(target_centered.T @ source_centered / len(source))
    handedness = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    # Relative to the spread the input could have: round-off of equal points is not a baseline.
    extent = np.square(source).max() + np.square(target).max()
    if min(variance, np.square(target_centered).mean()) <= 1e-24 * extent:
        raise ValueError("umeyama: all points of one set coincide, so the scale is undefined")
    rotation = (u * handedness) @ vt
    scale = float((singular * handedness).sum() / variance)
    return scale, rotation, target_mean - scale * rotation @ source_mean


def usual_rotation(turns: Rotation) -> tuple[Rotation, Bool]:
    """Find the rotation that most of n agree on.

    Returns:
        The mean of those that agree, and which of the (n,) do: those near the one in the middle.
    """
    apart = np.array([(turns * turn.inv()).magnitude() for turn in turns])
    middle = int(np.median(apart, axis=1).argmin())
    agree = apart[middle] <= _MOST_MEDIANS * np.median(apart[middle]) + 1e-9
    return turns[agree].mean(), np.asarray(agree)
