"""Least squares over all verified pairs at once: their relative poses and the focal lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.models.tiny.relative import Edge, homogeneous, normalized, ray_angles_deg, skew

_ROUNDS = 8
SCALE_PX = 0.15  # where the influence of a match begins to fall: most are far better
_POSE = 5  # parameters of a relative pose: rotation, direction on the sphere
_STEP = 1e-6
_MAX_LOG_STEP = 0.2
_LEAST_FRAMES = 3
_LOG_SPREAD = 0.05  # how far the first estimates of focal lengths may be off
_FIXED = 1e16  # weight of the focal lengths that stay
_MOST_LOG_CHANGE = 0.2  # beyond, the first estimate is more to be trusted


def polish(
    edges: Sequence[Edge], intrinsics: Float64, cameras: Sequence[int], known: Bool
) -> tuple[list[Edge], Float64]:
    """Minimise the distances of all matches from their epipolar lines.

    Args:
        edges: Verified pairs.
        intrinsics: (S, 3, 3) of the frames, network px.
        cameras: S numbers from 0; frames of one camera share their correction.
        known: (S,) whose focal length is fixed. A camera with very few frames keeps its first
            estimate too, and its pairs are left alone: wrong ones would carry both away. One
            whose estimate would change by more than a fifth keeps it.

    Returns:
        The pairs with better poses, and better intrinsics.

    Source: Gauss-Newton on Sampson distances with Cauchy weights; the poses are eliminated, as
    in bundle adjustment. Hartley and Zisserman, "Multiple View Geometry", 11.4.3 and A6.3.
    """
    camera_of = np.asarray(cameras)
    free = np.bincount(camera_of[~known], minlength=camera_of.max() + 1) >= _LEAST_FRAMES
    sure = known | free[camera_of]
    left = [e for e in edges if not (sure[e.i] and sure[e.j])]
    edges = [e for e in edges if sure[e.i] and sure[e.j]]
    polished, log_focal = _gauss_newton(edges, intrinsics, camera_of, free)
    astray = np.abs(log_focal) > _MOST_LOG_CHANGE
    if astray.any():
        # little motion: errors of matches, of which there are many, carry the focal length away
        polished, log_focal = _gauss_newton(edges, intrinsics, camera_of, free & ~astray)
    intrinsics = _scaled(intrinsics, log_focal[camera_of])
    return [_with_parallax(e, intrinsics) for e in polished] + left, intrinsics


def _gauss_newton(
    edges: list[Edge], begun: Float64, camera_of: Int64, free: Bool
) -> tuple[list[Edge], Float64]:
    """Return better pairs and the (C,) logarithms of the changes of the free focal lengths."""
    edges = list(edges)
    log_focal, intrinsics = np.zeros(len(free)), begun
    for _ in range(_ROUNDS if edges else 0):
        normal = np.diag(np.where(free, _LOG_SPREAD**-2, _FIXED))
        right = -log_focal * np.diag(normal)
        systems = []
        for e in edges:
            square, gradient = _normal_equations(e, intrinsics)
            back = np.linalg.solve(
                square[:_POSE, :_POSE] + 1e-6 * np.trace(square) * np.eye(_POSE),
                np.column_stack([square[:_POSE, _POSE:], gradient[:_POSE]]),
            )
            systems.append(back)
            at = camera_of[[e.i, e.j]]
            reduced = square[_POSE:, _POSE:] - square[_POSE:, :_POSE] @ back[:, :2]
            np.add.at(normal, (at[:, None], at), reduced)
            np.add.at(right, at, square[_POSE:, :_POSE] @ back[:, 2] - gradient[_POSE:])
        step = np.linalg.solve(normal, right).clip(-_MAX_LOG_STEP, _MAX_LOG_STEP)
        log_focal = log_focal + step
        intrinsics = _scaled(begun, log_focal[camera_of])
        for number, (e, back) in enumerate(zip(edges, systems, strict=True)):
            change = -back[:, 2] - back[:, :2] @ step[camera_of[[e.i, e.j]]]
            R, t = _moved(e, change)
            edges[number] = replace(e, rotation=R, direction=t)
    return edges, log_focal


def _scaled(intrinsics: Float64, log_focal: Float64) -> Float64:
    """Intrinsics (S, 3, 3) with focal lengths changed by the exponentials of (S,) logarithms."""
    result = intrinsics.copy()
    result[:, [0, 1], [0, 1]] *= np.exp(log_focal)[:, None]
    return result


def _normal_equations(edge: Edge, intrinsics: Float64) -> tuple[Float64, Float64]:
    """(7, 7) and (7,) in pose and both log focal lengths; residuals in units of their scale."""
    x = normalized(edge.xy[:, :2], intrinsics[edge.i])
    y = normalized(edge.xy[:, 2:], intrinsics[edge.j])
    focal = intrinsics[[edge.i, edge.j], 0, 0] / SCALE_PX
    E = skew(edge.direction) @ edge.rotation
    residual, slope = _sampson(x, y, E, focal)
    turns = [skew(edge.direction) @ skew(axis) @ edge.rotation for axis in np.eye(3)]
    shifts = [skew(side) @ edge.rotation for side in _sides(edge.direction)]
    products = homogeneous(y)[:, :, None] * homogeneous(x)[:, None, :]  # of y' E x
    # the slope of a residual changes too little with the pose to matter
    pose = products.reshape(-1, 9) @ np.reshape([*turns, *shifts], (_POSE, 9)).T * slope[:, None]
    grow = np.exp(_STEP)
    focal_i = _sampson(x / grow, y, E, focal * [grow, 1])[0]
    focal_j = _sampson(x, y / grow, E, focal * [1, grow])[0]
    focals = (np.stack([focal_i, focal_j], 1) - residual[:, None]) / _STEP
    jacobian = np.concatenate([pose, focals], 1)
    weighted = jacobian / (1 + residual**2)[:, None]
    return jacobian.T @ weighted, weighted.T @ residual


def _moved(edge: Edge, change: Float64) -> tuple[Float64, Float64]:
    """The edge's rotation and direction after a (5,) step."""
    R = Rotation.from_rotvec(change[:3]).as_matrix() @ edge.rotation
    t = edge.direction + change[3:] @ _sides(edge.direction)
    return R, t / np.linalg.norm(t)


def _sides(t: Float64) -> Float64:
    """(2, 3) unit vectors at right angles to a unit vector and to each other."""
    side = skew(t)[np.argmin(np.abs(t))]
    side = side / np.linalg.norm(side)
    return np.stack([side, skew(t) @ side])


def _sampson(x: Float64, y: Float64, E: Float64, focal: Float64) -> tuple[Float64, Float64]:
    """Distances of (n, 2) matched rays from their epipolar lines.

    Returns:
        (n,) signed distances in the unit of ``focal``, and (n,) what ``y' E x`` is multiplied by.
    """
    line = x @ E[:, :2].T + E[:, 2]
    other = (y @ E[:2, :2] + E[2, :2]) / focal[0]
    product = np.einsum("nk,nk->n", y, line[:, :2]) + line[:, 2]
    line = line[:, :2] / focal[1]
    slope = 1 / np.sqrt((line**2).sum(1) + (other**2).sum(1) + 1e-18)
    return product * slope, slope


def _with_parallax(edge: Edge, intrinsics: Float64) -> Edge:
    x = normalized(edge.xy[:, :2], intrinsics[edge.i])
    y = normalized(edge.xy[:, 2:], intrinsics[edge.j])
    return replace(edge, parallax_deg=float(np.median(ray_angles_deg(x, y, edge.rotation))))
