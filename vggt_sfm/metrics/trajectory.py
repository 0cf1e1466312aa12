"""How far cameras are from where they should be, in one world."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from vggt_sfm._checks import Float64, check_finite, check_shape
from vggt_sfm.geometry.alignment import umeyama
from vggt_sfm.geometry.rigid import rotation_angle_deg

_SAME_PLACE = 1e-9  # of the size of the coordinates: what rounding leaves of equal positions
_STRAIGHT = 1e-6  # of the length of the line
_FEW = 100

Similarity = tuple[float, Float64, Float64]
"""Scale, (3, 3) rotation and (3,) translation, as ``umeyama`` returns them."""


def stand_apart(centers: Float64) -> bool:
    """Tell whether (N, 3) positions are more than one place."""
    if len(centers) < 2:
        return False
    return bool(np.ptp(centers, axis=0).max() > _SAME_PLACE * np.abs(centers).max())


def on_a_line(centers: Float64) -> bool:
    """Tell whether (N, 3) positions lie on one line, or in one place."""
    spread = np.linalg.svd(centers - centers.mean(axis=0), compute_uv=False)
    return len(centers) < 3 or bool(spread[1] <= _STRAIGHT * spread[0])


def extent(centers: Float64) -> float:
    """Return the largest distance between two of (N, 3) positions; 0 for fewer than two."""
    if len(centers) > _FEW:
        with suppress(QhullError):  # all in one plane
            centers = centers[ConvexHull(centers).vertices]
    return float(pdist(centers).max()) if len(centers) > 1 else 0.0


def trajectory_errors(predicted: Float64, truth: Float64) -> Float64:
    """Return what the absolute trajectory error (ATE) is made of.

    Args:
        predicted: (N, 3) camera centres in any world and scale, N >= 3.
        truth: (N, 3) the true ones.

    Returns:
        (N,) distances, units of the truth, after the similarity that minimises their squares.

    Raises:
        ValueError: If shapes do not fit, or the centres of one world are all in one place.

    Source: Sturm et al., A Benchmark for the Evaluation of RGB-D SLAM Systems, IROS 2012, V-B.
    """
    check_shape("trajectory_errors.predicted", predicted, "N 3")
    scale, rotation, translation = umeyama(predicted, truth)
    return np.asarray(
        np.linalg.norm(scale * predicted @ rotation.T + translation - truth, axis=1), np.float64
    )


def pose_differences(
    world_from_cam: Float64, truth: Float64, similarity: Similarity
) -> tuple[Float64, Float64]:
    """Compare cameras with the true ones after a similarity.

    Args:
        world_from_cam: (N, 3, 4) in a world of their own.
        truth: (N, 3, 4) world_from_cam in the true world.
        similarity: True world from that of the cameras.

    Returns:
        (N,) angles between orientations, degrees, and (N,) distances between centres, units of the
        truth; these are NaN where the similarity has no scale.

    Raises:
        ValueError: If shapes differ or poses are not finite.
    """
    dims = check_shape("pose_differences.world_from_cam", world_from_cam, "N 3 4")
    check_shape("pose_differences.truth", truth, "N 3 4", dims)
    check_finite("pose_differences.world_from_cam", world_from_cam)
    check_finite("pose_differences.truth", truth)
    scale, rotation, translation = similarity
    turned = rotation @ world_from_cam[:, :, :3]
    angles = rotation_angle_deg(np.swapaxes(truth[:, :, :3], 1, 2) @ turned)
    moved = scale * world_from_cam[:, :, 3] @ rotation.T + translation
    return angles, np.asarray(np.linalg.norm(moved - truth[:, :, 3], axis=1))
