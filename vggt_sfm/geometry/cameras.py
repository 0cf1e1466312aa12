"""Pinhole projection. Pixels have their origin at the image corner, as in COLMAP."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.geometry.rigid import invert, transform_points


def project(xyz: Float64, cam_from_world: Float64, intrinsics: Float64) -> tuple[Float64, Float64]:
    """Project world points into cameras.

    Args:
        xyz: (…, 3) world points, scene units.
        cam_from_world: (…, 3, 4), one camera for all points or one for each.
        intrinsics: (…, 3, 3) px.

    Returns:
        (…, 2) pixels, NaN for points that are not in front of the camera, and (…) depth along
        the optical axis, scene units, as it is.
    """
    in_camera = transform_points(cam_from_world, xyz)
    depth = in_camera[..., 2]
    in_front = np.where(depth > 0, depth, np.nan)
    homogeneous = np.einsum("...ij,...j->...i", intrinsics, in_camera / in_front[..., None])
    return np.asarray(homogeneous[..., :2]), depth


def unproject(xy: Float64, depth: Float64, intrinsics: Float64, cam_from_world: Float64) -> Float64:
    """Lift pixels with known depth into the world.

    Args:
        xy: (…, 2) px.
        depth: (…) along the optical axis, scene units.
        intrinsics: (…, 3, 3) px, one camera for all pixels or one for each.
        cam_from_world: (…, 3, 4).

    Returns:
        (…, 3) world points, scene units.
    """
    homogeneous = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1)
    ray = np.einsum("...ij,...j->...i", np.linalg.inv(intrinsics), homogeneous)
    return transform_points(invert(cam_from_world), ray * np.asarray(depth)[..., None])
