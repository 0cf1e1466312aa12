"""A common focal length from fundamental matrices."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float64

# photographs lie between a strong telephoto and a wide angle: f / longer side
_RATIOS = np.geomspace(0.45, 3.0, 96)
_USUAL_RATIO = 1.2
_LOG_SPREAD = 0.45
_PRIOR_WEIGHT = 0.05
_SMALL_GAP = 0.01  # what noise makes of two equal singular values


def common_focal_ratio(
    fundamentals: list[Float64],
    weights: list[float],
    centers: list[tuple[Float64, Float64]],
    side: float,
) -> float:
    """Find the focal length, as a share of the longer side, that makes all pairs consistent.

    An essential matrix has two equal singular values; their difference is measured for a range
    of focal lengths and summed robustly over the pairs, with a weak prior for pairs that say
    nothing (parallel or fixating views).

    Args:
        fundamentals: (3, 3) matrices, px.
        weights: Verified matches of each pair.
        centers: Principal points (2,) of both images of each pair, px.
        side: Longer image side, px.

    Returns:
        f / side.

    Source: Mendonça and Cipolla, "A simple technique for self-calibration", CVPR 1999, eq. 5.
    """
    log_ratio = np.log(_RATIOS / _USUAL_RATIO)
    cost = _PRIOR_WEIGHT * (log_ratio / _LOG_SPREAD) ** 2
    if not fundamentals:
        return _USUAL_RATIO
    total = sum(weights)
    for F, weight, (c_i, c_j) in zip(fundamentals, weights, centers, strict=True):
        K_i = _intrinsics(_RATIOS * side, c_i)
        K_j = _intrinsics(_RATIOS * side, c_j)
        singular = np.linalg.svd(K_j.transpose(0, 2, 1) @ F @ K_i, compute_uv=False)
        gap = (singular[:, 0] - singular[:, 1]) / (singular[:, 0] + singular[:, 1])
        # the logarithm lets pairs that agree outvote those that are wrong everywhere
        cost += weight / total * np.log(gap + _SMALL_GAP)
    return float(_RATIOS[int(np.argmin(cost))])


def _intrinsics(focal: Float64, center: Float64) -> Float64:
    K = np.tile(np.eye(3), (len(focal), 1, 1))
    K[:, 0, 0] = K[:, 1, 1] = focal
    K[:, :2, 2] = center
    return K
