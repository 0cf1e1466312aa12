"""Rigid motions as (…, 3, 4) arrays; chains read off: ``a_from_b`` after ``b_from_c``."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float64


def compose(a_from_b: Float64, b_from_c: Float64) -> Float64:
    """Chain two rigid motions.

    Args:
        a_from_b: (…, 3, 4).
        b_from_c: (…, 3, 4), broadcast against the first.

    Returns:
        (…, 3, 4) ``a_from_c``.
    """
    rotation = a_from_b[..., :3] @ b_from_c[..., :3]
    translation = a_from_b[..., :3] @ b_from_c[..., 3:] + a_from_b[..., 3:]
    return np.concatenate([rotation, translation], axis=-1)


def invert(a_from_b: Float64) -> Float64:
    """Return the (…, 3, 4) inverse of a rigid motion."""
    rotation = np.swapaxes(a_from_b[..., :3], -1, -2)
    return np.concatenate([rotation, -rotation @ a_from_b[..., 3:]], axis=-1)


def in_moved_world(
    cam_from_world: Float64, scale: float, rotation: Float64, translation: Float64
) -> Float64:
    """Return poses after a similarity of the world, ``new = scale * rotation @ old + translation``.

    Args:
        cam_from_world: (…, 3, 4); the cameras' own axes grow with the world.
        scale: Positive.
        rotation: (3, 3).
        translation: (3,).

    Returns:
        (…, 3, 4).
    """
    rotations = cam_from_world[..., :3] @ rotation.T
    translations = scale * cam_from_world[..., 3] - rotations @ translation
    return np.concatenate([rotations, translations[..., None]], axis=-1)


def transform_points(b_from_a: Float64, xyz: Float64) -> Float64:
    """Move points from one frame to another.

    Args:
        b_from_a: (…, 3, 4), one motion for all points or one for each.
        xyz: (…, 3) points in frame a, scene units.

    Returns:
        (…, 3) points in frame b, scene units.
    """
    return np.asarray(np.einsum("...ij,...j->...i", b_from_a[..., :3], xyz) + b_from_a[..., 3])


def rotation_angle_deg(rotation: Float64) -> Float64:
    """Return the (…) angle of (…, 3, 3) rotations, degrees in [0, 180].

    The arc tangent keeps full precision near 0 and near 180 degrees, where the usual arc cosine
    of the trace loses half the digits.
    """
    sine_axis = np.stack(
        [
            rotation[..., 2, 1] - rotation[..., 1, 2],
            rotation[..., 0, 2] - rotation[..., 2, 0],
            rotation[..., 1, 0] - rotation[..., 0, 1],
        ],
        axis=-1,
    )
    cosine = np.trace(rotation, axis1=-2, axis2=-1) - 1
    return np.asarray(np.degrees(np.arctan2(np.linalg.norm(sine_axis, axis=-1), cosine)))


def rotation_from_quat_xyzw(quat_xyzw: Float64) -> Float64:
    """Return (…, 3, 3) rotations of (…, 4) quaternions, which need not have unit length.

    Raises:
        ValueError: If a quaternion is zero.
    """
    shape = np.shape(quat_xyzw)[:-1]
    flat = Rotation.from_quat(np.reshape(quat_xyzw, (-1, 4)))
    return np.reshape(flat.as_matrix(), (*shape, 3, 3))


def quat_xyzw_from_rotation(rotation: Float64) -> Float64:
    """Return (…, 4) unit quaternions, w >= 0, of (…, 3, 3) rotations."""
    shape = np.shape(rotation)[:-2]
    flat = Rotation.from_matrix(np.reshape(rotation, (-1, 3, 3)))
    return np.reshape(flat.as_quat(canonical=True), (*shape, 4))
