"""Focal lengths from fundamental matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggt_sfm._checks import Float64

# photographs lie between a strong telephoto and a wide angle: f / longer side
_RATIOS = np.geomspace(0.45, 3.0, 191)
_USUAL_RATIO = 1.2
_LOG_SPREAD = 0.45
_PRIOR_WEIGHT = 0.05
_SMALL_GAP = 0.01  # what noise makes of two equal singular values
_ROUNDS = 5


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EpipolarPair:
    """The fundamental matrix of two images whose longer sides count as one unit."""

    i: int
    """Camera of the first image."""
    j: int
    """Camera of the second image; equal to ``i`` where one camera took both."""
    F: Float64  # (3, 3)
    weight: float
    """Verified matches."""
    center_i: Float64  # (2,) principal point
    center_j: Float64  # (2,)


def focal_ratios(pairs: Sequence[EpipolarPair], cameras: int) -> Float64:
    """Find the focal lengths that make all pairs consistent.

    An essential matrix has two equal singular values; their difference is measured for a range
    of focal lengths and summed over the pairs, with a weak prior for pairs that say nothing
    (parallel or fixating views). First all cameras get a common value, then each its own.

    Args:
        pairs: What is known about pairs of images.
        cameras: Number of cameras C.

    Returns:
        (C,) focal length over the longer image side.

    Source: Mendonça and Cipolla, "A simple technique for self-calibration", CVPR 1999, eq. 5.
    """
    prior = _PRIOR_WEIGHT * (np.log(_RATIOS / _USUAL_RATIO) / _LOG_SPREAD) ** 2
    if not pairs:
        return np.full(cameras, _USUAL_RATIO)
    common = sum(p.weight * _disagreement(p, _RATIOS, _RATIOS) for p in pairs)
    common = common / sum(p.weight for p in pairs) + prior
    ratios = np.full(cameras, _RATIOS[int(np.argmin(common))])
    for _ in range(_ROUNDS if cameras > 1 else 0):
        before = ratios.copy()
        for camera in range(cameras):
            ratios[camera] = _best_ratio(camera, pairs, ratios, prior)
        if np.array_equal(before, ratios):
            break
    return ratios


def _best_ratio(
    camera: int, pairs: Sequence[EpipolarPair], ratios: Float64, prior: Float64
) -> float:
    """The best value for one camera while all others keep theirs."""
    mine = [p for p in pairs if camera in (p.i, p.j)]
    if not mine:
        return float(ratios[camera])
    cost = prior.copy()
    total = sum(p.weight for p in mine)
    for p in mine:
        tried_i = _RATIOS if p.i == camera else np.full_like(_RATIOS, ratios[p.i])
        tried_j = _RATIOS if p.j == camera else np.full_like(_RATIOS, ratios[p.j])
        cost += p.weight / total * _disagreement(p, tried_i, tried_j)
    return float(_RATIOS[int(np.argmin(cost))])


def _disagreement(pair: EpipolarPair, ratio_i: Float64, ratio_j: Float64) -> Float64:
    """Logarithm of the relative gap of the singular values, for (n,) focal lengths each.

    The logarithm lets pairs that agree outvote those that are wrong everywhere.
    """
    K_i, K_j = _intrinsics(ratio_i, pair.center_i), _intrinsics(ratio_j, pair.center_j)
    singular = np.linalg.svd(K_j.transpose(0, 2, 1) @ pair.F @ K_i, compute_uv=False)
    gap = (singular[:, 0] - singular[:, 1]) / (singular[:, 0] + singular[:, 1])
    return np.asarray(np.log(gap + _SMALL_GAP))


def _intrinsics(focal: Float64, center: Float64) -> Float64:
    K = np.tile(np.eye(3), (len(focal), 1, 1))
    K[:, 0, 0] = K[:, 1, 1] = focal
    K[:, :2, 2] = center
    return K
