"""Directions between cameras once their rotations are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.models.tiny.relative import Edge, epipolar_lines, homogeneous, normalized, skew

_ROUNDS = 10
_UNIT_PX = 0.15  # where the influence of a match begins to fall


def redirected(edges: Sequence[Edge], R: Float64, intrinsics: Float64) -> list[Edge]:
    """Give pairs the rotation that all pairs agree on, and the direction that fits it best.

    Args:
        edges: Pairs.
        R: (S, 3, 3) cam_from_world rotations.
        intrinsics: (S, 3, 3) network px.
    """
    result = []
    for e in edges:
        rays_i = normalized(e.xy[:, :2], intrinsics[e.i])
        rays_j = normalized(e.xy[:, 2:], intrinsics[e.j])
        rotation = R[e.j] @ R[e.i].T
        focal = (intrinsics[e.i, 0, 0] + intrinsics[e.j, 0, 0]) / 2
        t = _direction(rays_i, rays_j, rotation, e.direction, _UNIT_PX / focal)
        result.append(replace(e, rotation=rotation, direction=t))
    return result


def _direction(
    rays_i: Float64, rays_j: Float64, R: Float64, start: Float64, unit: float
) -> Float64:
    """Unit translation (3,) that puts matched rays into planes with it.

    Args:
        rays_i: (n, 2) at unit focal length.
        rays_j: (n, 2).
        R: (3, 3) cam_j_from_cam_i.
        start: (3,) first direction; the result lies on its side.
        unit: Distance from the epipolar lines at which the influence of a match begins to fall.

    Source: the direction is perpendicular to the normals ``R x_i × x_j`` of all planes; Sampson
    distances (Hartley and Zisserman, "Multiple View Geometry", 11.4.3), Cauchy weights.
    """
    x, y = homogeneous(rays_i), homogeneous(rays_j)
    normals = np.cross(x @ R.T, y)
    t = start
    for _ in range(_ROUNDS):
        residual, slope, _ = epipolar_lines(skew(t) @ R, x, y)
        weight = slope / np.hypot(1, residual / unit)
        _, _, axes = np.linalg.svd(normals * weight[:, None], full_matrices=False)
        t = axes[-1] if axes[-1] @ t >= 0 else -axes[-1]
    return np.asarray(t)
