"""Pinhole projection. Pixels have their origin at the image corner, as in COLMAP."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float32, Float64, check_shape
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


def pixel_centers(height: int, width: int) -> Float64:
    """Return the (H, W, 2) x, y of every pixel's centre; the first is (0.5, 0.5)."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x, y], axis=-1)


def unproject_depth(
    depth: Float32 | Float64, intrinsics: Float64, cam_from_world: Float64
) -> Float64:
    """Lift a depth map into the world.

    Args:
        depth: (H, W) along the optical axis, scene units; 0 marks unknown pixels.
        intrinsics: (3, 3) K at this depth map's resolution, px.
        cam_from_world: (3, 4).

    Returns:
        (H, W, 3) world points, scene units; NaN where depth is 0.

    Raises:
        ValueError: If a shape does not fit.
    """
    check_shape("unproject_depth.depth", depth, "H W")
    check_shape("unproject_depth.intrinsics", intrinsics, "3 3")
    check_shape("unproject_depth.cam_from_world", cam_from_world, "3 4")
    known = np.where(depth > 0, depth, np.nan).astype(np.float64)
    return unproject(pixel_centers(*depth.shape), known, intrinsics, cam_from_world)


def rescale_intrinsics(intrinsics: Float64, scale_x: float, scale_y: float) -> Float64:
    """Express (…, 3, 3) K after resizing the image by two factors; the input is unchanged."""
    return np.diag([scale_x, scale_y, 1.0]) @ intrinsics
