"""Points fitted to cameras that stay: every point is a small problem of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.ba.bundle import Bundle, focal_lengths
from vggt_sfm.geometry.rigid import transform_points

_START_DAMPING = 1e-3
_LARGEST_DAMPING = 1e8
_BEHIND = 1e6  # px; the error of a point without projection


def fit_points(bundle: Bundle, active: Bool, loss_px: float, iterations: int) -> Bundle:
    """Move points to where their active observations say, with all cameras as they are.

    Args:
        bundle: The start.
        active: (M,) observations to use; points without any stay.
        loss_px: Scale of the Cauchy loss, image px.
        iterations: Steps of a damped Gauss-Newton iteration, each accepted point by point.

    Returns:
        The bundle with other points.

    Source: Madsen, Nielsen and Tingleff, "Methods for non-linear least squares problems", 2004,
    section 3.2, for all points at once; the Jacobian is that of a pinhole, or of an equidistant
    fisheye, and leaves out the coefficients of distortion.
    """
    rows = np.flatnonzero(active)
    if not len(rows):
        return bundle
    moved, point = np.unique(bundle.point_of[rows], return_inverse=True)
    count, xyz = len(moved), bundle.xyz[moved]
    damping = np.full(count, _START_DAMPING)
    by_image = _by_image(bundle, rows)
    pose = bundle.cam_from_world[bundle.image_of[rows]]
    focal = focal_lengths(bundle)[bundle.image_of[rows]]
    fisheye = np.array([c.is_perspective_fisheye() for c in bundle.cameras], bool)
    bent = fisheye[bundle.camera_of[bundle.image_of[rows]]]
    error = _errors(bundle, rows, by_image, xyz[point])
    cost = _costs(error, point, count, loss_px)
    for _ in range(iterations):
        J = _jacobians(pose, focal, bent, xyz[point])
        weight = 1 / (1 + np.square(error).sum(axis=1) / loss_px**2)
        H = _sums(point, np.einsum("mki,mkj->mij", J, J) * weight[:, None, None], count)
        gradient = _sums(point, np.einsum("mki,mk->mi", J, error) * weight[:, None], count)
        diagonal = np.einsum("nii->ni", H)
        diagonal += damping[:, None] * diagonal + 1e-12 * (1 + diagonal.max(axis=1)[:, None])
        tried = xyz - np.linalg.solve(H, gradient[..., None])[..., 0]
        new_error = _errors(bundle, rows, by_image, tried[point])
        new_cost = _costs(new_error, point, count, loss_px)
        better = new_cost < cost
        xyz[better], cost[better] = tried[better], new_cost[better]
        error = np.where(better[point][:, None], new_error, error)
        damping = np.clip(np.where(better, damping / 5, damping * 10), 1e-9, _LARGEST_DAMPING)
    everywhere = bundle.xyz.copy()
    everywhere[moved] = xyz
    return replace(bundle, xyz=everywhere)


def _by_image(bundle: Bundle, rows: Int64) -> list[tuple[int, Int64]]:
    """Return each image that the rows are of, and which of them."""
    images, start = np.unique(bundle.image_of[rows], return_inverse=True)
    order = np.argsort(start, kind="stable")
    limits = np.flatnonzero(np.diff(start[order])) + 1
    return list(zip(images.tolist(), np.split(order, limits), strict=True))


def _errors(
    bundle: Bundle, rows: Int64, by_image: list[tuple[int, Int64]], xyz: Float64
) -> Float64:
    """Return the (m, 2) reprojection errors of (m, 3) points, px."""
    error = np.empty((len(rows), 2))
    for s, mine in by_image:
        in_camera = transform_points(bundle.cam_from_world[s], xyz[mine])
        projected = bundle.cameras[bundle.camera_of[s]].img_from_cam(in_camera)
        error[mine] = projected - bundle.xy[rows[mine]]
    return np.where(np.isfinite(error), error, _BEHIND)


def _jacobians(pose: Float64, focal: Float64, bent: Bool, xyz: Float64) -> Float64:
    """Return the (m, 2, 3) derivatives of projections by (m, 3) points.

    A point lands at ``focal * stretch * (x, y)``: a pinhole stretches by 1 / z, where a camera is
    ``bent`` (m,), by the angle from its axis over the distance from it.
    """
    in_camera = transform_points(pose, xyz)
    x, y, z = in_camera.T
    z = np.where(np.abs(z) > 1e-9, z, 1e-9)
    stretch, by_axis, by_depth = 1 / z, np.zeros_like(z), -1 / z**2
    if bent.any():
        radius = np.maximum(np.hypot(x, y), 1e-9 * np.abs(z))
        square, angle = radius**2 + z**2, np.arctan2(radius, z)
        stretch = np.where(bent, angle / radius, stretch)
        by_axis = np.where(bent, (z / square - angle / radius) / radius**2, by_axis)
        by_depth = np.where(bent, -1 / square, by_depth)
    slope = np.stack([by_axis * x, by_axis * y, by_depth], axis=-1)  # of the stretch, (m, 3)
    by_camera_point = np.einsum("mk,mi->mki", in_camera[:, :2], slope)
    by_camera_point[:, 0, 0] += stretch
    by_camera_point[:, 1, 1] += stretch
    return np.asarray(focal[:, None, None] * by_camera_point @ pose[:, :, :3])


def _costs(error: Float64, point: Int64, count: int, loss_px: float) -> Float64:
    cost = np.log1p(np.square(error).sum(axis=1) / loss_px**2)
    return np.bincount(point, cost, count).astype(np.float64)


def _sums(point: Int64, values: Float64, count: int) -> Float64:
    """Add up (m, …) values by point."""
    flat = values.reshape(len(values), -1)
    sums = [np.bincount(point, column, count) for column in flat.T]
    return np.stack(sums, axis=1).reshape(count, *values.shape[1:]).astype(np.float64)
