"""Geometric verification of the matches of one image pair."""

from __future__ import annotations

import cv2
import numpy as np

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.scene import Size

_CONFIDENCE = 0.999
_MAX_TRIALS = 5000
_LEAST_SHARE = 0.12  # of inliers among the matches
# A watermark or a frame is a "geometry" too: points that stand still on the border of both images
# (COLMAP's watermark_border_size and watermark_min_inlier_ratio).
_BORDER = 0.1
_STATIONARY_SHARE = 0.7


def verified_rows(
    xy: tuple[Float64, Float64],
    sizes: tuple[Size, Size],
    *,
    max_error_px: float,
    min_inliers: int,
    seed: int,
) -> Int64:
    """Select the matches that one epipolar geometry explains.

    No focal length is assumed: a predicted one may be wrong by 40 %, and an essential matrix
    estimated with it would throw away good matches.

    Args:
        xy: Twice (n, 2) matched points, px.
        sizes: Sizes of the two images, px.
        max_error_px: Largest distance of an inlier.
        min_inliers: Fewer inliers than this count as none.
        seed: Seed of the random sampling; equal seeds give equal rows.

    Returns:
        (m,) ascending rows of ``xy``; empty where the pair has no common geometry.
    """
    none = np.empty(0, np.int64)
    if len(xy[0]) < min_inliers:
        return none
    inlier = _epipolar_inliers(xy, max_error_px, seed)
    still = np.linalg.norm(xy[0] - xy[1], axis=1) <= max_error_px
    still &= _on_border(xy[0], sizes[0]) & _on_border(xy[1], sizes[1])
    by_chance = max(_most_by_chance(len(inlier), size, max_error_px) for size in sizes)
    if inlier.sum() < max(min_inliers, _LEAST_SHARE * len(inlier), by_chance):
        return none
    if still[inlier].mean() >= _STATIONARY_SHARE:
        return none
    return np.flatnonzero(inlier).astype(np.int64)


def _most_by_chance(count: int, size: Size, max_error_px: float) -> float:
    """Return how many of random matches a geometry finds at most.

    The best of thousands of geometries finds about twice the share of the image that lies near
    one line, and its minimal sample. Fitted to the most of 25 runs each with 15 to 1000 matches in
    images of 300 x 200 to 1024 x 683.
    """
    width, height = size
    near_a_line = 1.5 * max_error_px * np.hypot(width, height) / (width * height)
    expected = count * min(near_a_line, 1.0)
    return float(9 + 2 * expected + 6 * np.sqrt(expected))


def _epipolar_inliers(xy: tuple[Float64, Float64], max_error_px: float, seed: int) -> Bool:
    options = cv2.UsacParams()
    options.confidence = _CONFIDENCE
    options.maxIterations = _MAX_TRIALS
    options.threshold = max_error_px
    options.randomGeneratorState = seed % 2**31  # OpenCV's is an int of 32 bits
    options.loMethod = cv2.LOCAL_OPTIM_SIGMA
    options.score = cv2.SCORE_METHOD_MSAC
    options.sampler = cv2.SAMPLING_UNIFORM
    try:
        _, mask = cv2.findFundamentalMat(xy[0], xy[1], options)
    except cv2.error:  # degenerate: all points on one line, say
        mask = None
    if mask is None:
        return np.zeros(len(xy[0]), bool)
    return np.asarray(mask.ravel() > 0)


def _on_border(xy: Float64, size: Size) -> Bool:
    margin = _BORDER * np.hypot(*size)
    inner = ((xy > margin) & (xy < np.array(size) - margin)).all(axis=1)
    return np.asarray(~inner)
