"""Relative pose and depth of two views from the model's own matches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vggt_sfm._checks import Bool, Float32, Float64

MIN_MATCHES = 12
_UNIT_PX = 1.5  # what a threshold becomes in the pixels that OpenCV expects
_THRESHOLD_PX = 2.0  # of matches that are kept
_DECIDING = 300  # matches, the most confident, between which poses are decided
_SHARP_THRESHOLD_PX = 0.3  # of those that decide between poses; half or twice as much are worse
_CONFIDENCE = 0.9999
ITERATIONS = 2000
_FARTHEST = 50.0  # baselines; beyond, matches say nothing about the direction


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Edge:
    """The geometry between two frames, as far as their matches tell."""

    i: int
    j: int
    rotation: Float64  # (3, 3) cam_j_from_cam_i
    direction: Float64  # (3,) unit translation of cam_j_from_cam_i
    xy: Float64  # (n, 4) verified matches, network px
    confidence: Float64  # (n,)
    parallax_deg: float  # median angle between the matched rays

    @property
    def weight(self) -> float:
        """Number of verified matches."""
        return float(len(self.xy))


def fundamental_matrix(xy: Float64, threshold: float) -> tuple[Float64, Bool] | None:
    """Estimate the fundamental matrix of two views.

    Args:
        xy: (n, 4) matches, in any unit.
        threshold: Distance of an outlier from its epipolar line, same unit.

    Returns:
        (3, 3) F in that unit and (n,) inliers; None if there is none.
    """
    if len(xy) < MIN_MATCHES:
        return None
    # OpenCV thinks in pixels
    unit = _UNIT_PX / threshold
    points = xy * unit
    found = _estimated(
        cv2.findFundamentalMat,
        *(points[:, :2], points[:, 2:]),
        *(cv2.USAC_MAGSAC, _UNIT_PX, _CONFIDENCE, ITERATIONS),
    )
    if found is None:
        return None
    F, good = found
    to_unit = np.diag([unit, unit, 1.0])
    return to_unit @ F @ to_unit, good


def _estimated(estimator: Callable[..., Any], *arguments: Any) -> tuple[Float64, Bool] | None:
    """What one of OpenCV's robust estimators finds: (3, 3) and (n,) inliers; None if nothing."""
    try:
        matrix, mask = estimator(*arguments)
    except cv2.error:  # an assertion of OpenCV where no model was found
        return None
    if matrix is None or matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        return None
    return np.asarray(matrix, np.float64), mask.ravel().astype(bool)


def relative_pose(
    i: int,
    j: int,
    xy: Float32,
    confidence: Float32,
    K_i: Float64,
    K_j: Float64,
    iterations: int = ITERATIONS,
) -> Edge | None:
    """Estimate the relative pose of a pair whose intrinsics are known.

    Args:
        i: First frame.
        j: Second frame.
        xy: (n, 4) matches, network px.
        confidence: (n,) of each match, descending.
        K_i: (3, 3) intrinsics of the first frame, px.
        K_j: (3, 3) of the second.
        iterations: At most, of the robust estimation.

    Returns:
        The edge, or None where the matches support no pose.
    """
    if len(xy) < MIN_MATCHES:
        return None
    rays_i, rays_j = normalized(xy[:, :2], K_i), normalized(xy[:, 2:], K_j)
    focal = (K_i[0, 0] + K_j[0, 0]) / 2
    found = _estimated(
        cv2.findEssentialMat,
        *(rays_i[:_DECIDING], rays_j[:_DECIDING], np.eye(3)),
        *(cv2.USAC_MAGSAC, _CONFIDENCE, _SHARP_THRESHOLD_PX / focal, iterations),
    )
    if found is None:
        return None
    E, _ = found
    good = sampson_distances(E, rays_i, rays_j) < _THRESHOLD_PX / focal
    if good.sum() < MIN_MATCHES:
        return None
    R, t, inside = _decompose(E, rays_i[good], rays_j[good])
    if inside.sum() < MIN_MATCHES:
        return None
    rows = np.flatnonzero(good)[inside]
    return Edge(
        i=i,
        j=j,
        rotation=R,
        direction=t,
        xy=xy[rows].astype(np.float64),
        confidence=confidence[rows].astype(np.float64),
        parallax_deg=float(np.median(ray_angles_deg(rays_i[rows], rays_j[rows], R))),
    )


def sampson_distances(E: Float64, rays_i: Float64, rays_j: Float64) -> Float64:
    """Distances of matched rays from the epipolar geometry, to first order.

    Args:
        E: (3, 3) essential matrix of camera j from camera i.
        rays_i: (n, 2) at unit focal length.
        rays_j: (n, 2).

    Returns:
        (n,) in units of the focal length.
    """
    residual, _, _ = epipolar_lines(E, homogeneous(rays_i), homogeneous(rays_j))
    return np.abs(residual)


def epipolar_lines(
    F: Float64, x: Float64, y: Float64
) -> tuple[Float64, Float64, tuple[Float64, Float64]]:
    """Where matches lie beside their epipolar lines.

    Args:
        F: (3, 3) with ``y' F x = 0``.
        x: (n, 3) homogeneous points of the first image.
        y: (n, 3) of the second.

    Returns:
        (n,) signed Sampson distances, (n,) what ``y' F x`` was multiplied by for them, and the
        (n, 3) normals of the lines in the second image and in the first, their last entry 0.

    Source: Hartley and Zisserman, "Multiple View Geometry", eq. 11.9.
    """
    line_y, line_x = x @ F.T, y @ F
    product = (y * line_y).sum(1)
    line_y[:, 2] = line_x[:, 2] = 0
    square = (line_y**2).sum(1) + (line_x**2).sum(1)
    slope = 1 / np.sqrt(np.maximum(square, 1e-24))
    return product * slope, slope, (line_y, line_x)


def _decompose(E: Float64, rays_i: Float64, rays_j: Float64) -> tuple[Float64, Float64, Bool]:
    """The pose behind an essential matrix that puts most matches in front of both cameras.

    Returns:
        (3, 3) rotation, (3,) unit translation, and (n,) which matches it puts in front.
    """
    first, second, shift = cv2.decomposeEssentialMat(E)
    t = np.asarray(shift, np.float64).ravel()
    poses = [(np.asarray(R, np.float64), sign * t) for R in (first, second) for sign in (1, -1)]
    inside = []
    for R, direction in poses:
        z_i, z_j = two_view_depths(rays_i, rays_j, R, direction)
        inside.append((z_i > 0) & (z_j > 0) & (z_i < _FARTHEST) & (z_j < _FARTHEST))
    best = int(np.argmax([count.sum() for count in inside]))
    return *poses[best], inside[best]


def normalized(xy: Float64 | Float32, K: Float64) -> Float64:
    """(n, 2) px to (n, 2) image coordinates at unit focal length."""
    return np.asarray((xy.astype(np.float64) - K[:2, 2]) / np.array([K[0, 0], K[1, 1]]))


def ray_angles_deg(rays_i: Float64, rays_j: Float64, R: Float64) -> Float64:
    """Angles between (n, 2) rays of two cameras, (n,) degrees; 0 means infinitely far."""
    a = homogeneous(rays_i) @ R.T
    b = homogeneous(rays_j)
    sine = np.linalg.norm(np.cross(a, b), axis=1)
    return np.asarray(np.rad2deg(np.arctan2(sine, np.sum(a * b, axis=1))))


def two_view_depths(
    rays_i: Float64, rays_j: Float64, R: Float64, t: Float64
) -> tuple[Float64, Float64]:
    """Depths along both optical axes where matched rays come closest.

    Args:
        rays_i: (n, 2) at unit focal length.
        rays_j: (n, 2).
        R: (3, 3) cam_j_from_cam_i.
        t: (3,) translation of cam_j_from_cam_i, scene units.

    Returns:
        (n,) depth in camera i and (n,) in camera j; not positive behind a camera.

    Source: least squares of ``z_i R x_i + t = z_j x_j`` in the two depths.
    """
    a, b = homogeneous(rays_i) @ R.T, homogeneous(rays_j)
    aa, bb, ab = (a * a).sum(1), (b * b).sum(1), (a * b).sum(1)
    at, bt = a @ t, b @ t
    determinant = np.maximum(aa * bb - ab * ab, 1e-12)
    return (ab * bt - bb * at) / determinant, (aa * bt - ab * at) / determinant


def homogeneous(rays: Float64) -> Float64:
    """(n, 2) image coordinates at unit focal length to (n, 3) rays."""
    return np.concatenate([rays, np.ones((len(rays), 1))], axis=1)


def skew(v: Float64) -> Float64:
    """The (3, 3) matrix that takes the cross product of a vector with another."""
    x, y, z = v
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
