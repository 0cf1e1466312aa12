"""Geometric verification of the matches of one image pair."""

from __future__ import annotations

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64, Int64
from vggt_sfm.scene import Size


def verified_rows(
    xy: tuple[Float64, Float64],
    sizes: tuple[Size, Size],
    *,
    max_error_px: float,
    min_inliers: int,
    seed: int,
) -> Int64:
    """Select the matches that one epipolar geometry or homography explains.

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
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = min_inliers
    options.ransac.max_error = max_error_px
    options.ransac.random_seed = seed
    rows = np.arange(len(xy[0]))
    geometry = pycolmap.estimate_two_view_geometry(
        _camera(sizes[0]),
        xy[0],
        _camera(sizes[1]),
        xy[1],
        np.stack([rows, rows], axis=1).astype(np.uint32),
        options,
    )
    # A watermark is a "geometry" too: points that stand still on the border of both images.
    unusable = (
        pycolmap.TwoViewGeometryConfiguration.UNDEFINED,
        pycolmap.TwoViewGeometryConfiguration.DEGENERATE,
        pycolmap.TwoViewGeometryConfiguration.WATERMARK,
    )
    inliers = np.asarray(geometry.inlier_matches, np.int64).reshape(-1, 2)
    if geometry.config in [int(config) for config in unusable] or len(inliers) < min_inliers:
        return none
    return np.sort(inliers[:, 0])


def _camera(size: Size) -> pycolmap.Camera:
    """Return a camera without a focal prior, which makes the verification uncalibrated."""
    focal = 1.2 * max(size)  # COLMAP's default_focal_length_factor; not used without a prior
    return pycolmap.Camera(
        model="SIMPLE_PINHOLE",
        width=size.width,
        height=size.height,
        params=[focal, size.width / 2, size.height / 2],
    )
