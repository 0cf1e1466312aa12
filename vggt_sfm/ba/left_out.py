"""Cameras of misplaced images, from points that the well placed ones see."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm.ba.bundle import Bundle, measure, pixels_a_reference_pixel
from vggt_sfm.ba.points import fit_points
from vggt_sfm.ba.schedule import POINT_LOSSES_PX, POINT_STEPS
from vggt_sfm.ba.selection import with_two_views

_LEAST_POINTS = 12
_LEAST_INLIERS = 0.25  # of the points seen; fewer are what a wrong pose finds by chance
# At the reference width: of points in the images that see them, and of these in the new image, as
# focal lengths are not exact yet.
_MAX_POINT_ERROR_PX = 4.0
_MAX_ERROR_PX = 8.0


def resected(bundle: Bundle, lost: Collection[str], random_seed: int) -> Float64:
    """Find where misplaced images are; their own observations have no say in the points.

    Args:
        bundle: Well placed cameras, but for the lost ones, and rough points.
        lost: Names of the images to place.
        random_seed: Of the samples.

    Returns:
        (S, 3, 4) poses: of ``lost`` images those found and NaN where there is none, of all others
        those of the bundle.
    """
    px = pixels_a_reference_pixel(bundle)
    is_lost = np.array([name in lost for name in bundle.names], bool)
    held = with_two_views(bundle, ~is_lost[bundle.image_of])
    for scale_px in POINT_LOSSES_PX:
        bundle = fit_points(bundle, held, scale_px * px, POINT_STEPS)
    fits = with_two_views(bundle, held & (measure(bundle)[0] <= _MAX_POINT_ERROR_PX * px))
    exact = np.bincount(bundle.point_of[fits], minlength=len(bundle.xyz)) > 0
    poses = bundle.cam_from_world.copy()
    for s in np.flatnonzero(is_lost).tolist():
        rows = np.flatnonzero((bundle.image_of == s) & exact[bundle.point_of])
        camera = bundle.cameras[bundle.camera_of[s]]
        xyz = bundle.xyz[bundle.point_of[rows]]
        poses[s] = _resect(bundle.xy[rows], xyz, camera, _MAX_ERROR_PX * px, random_seed)
    return poses


def _resect(
    xy: Float64, xyz: Float64, camera: pycolmap.Camera, max_error_px: float, random_seed: int
) -> Float64:
    """Return a (3, 4) pose, NaN where too few points agree on one."""
    nowhere = np.full((3, 4), np.nan)
    if len(xy) < _LEAST_POINTS:
        return nowhere
    options = pycolmap.AbsolutePoseEstimationOptions()
    options.ransac.max_error = max_error_px
    options.ransac.random_seed = random_seed
    found = pycolmap.estimate_and_refine_absolute_pose(xy, xyz, camera, options)
    if found is None or found["num_inliers"] < max(_LEAST_POINTS, _LEAST_INLIERS * len(xy)):
        return nowhere
    return np.asarray(found["cam_from_world"].matrix())
