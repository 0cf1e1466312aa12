"""Nine numbers a frame, as the camera head speaks them, to and from cameras.

An encoding is [tx ty tz | qx qy qz qw | vertical and horizontal field of view, rad]. It says
nothing about the principal point, which is the image centre (W/2, H/2) in corner-origin pixels.
"""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float32, Float64
from vggt_sfm.geometry.rigid import quat_xyzw_from_rotation, rotation_from_quat_xyzw
from vggt_sfm.scene import Size

_MIN_FOV_RAD = 1e-6


def decode_cameras(pose_encoding: Float32 | Float64, size: Size) -> tuple[Float64, Float64]:
    """Turn pose encodings into cameras.

    Args:
        pose_encoding: (…, 9); the quaternion need not have unit length.
        size: Network input size, px.

    Returns:
        (…, 3, 4) cam_from_world with OpenCV axes and (…, 3, 3) intrinsics, px, corner-origin.

    Raises:
        ValueError: If the last axis is not 9 long.
    """
    encoding = np.asarray(pose_encoding, np.float64)
    if encoding.shape[-1:] != (9,):
        raise ValueError(f"pose_encoding: expected shape (…, 9), got {encoding.shape}")
    rotation = rotation_from_quat_xyzw(encoding[..., 3:7])
    cam_from_world = np.concatenate([rotation, encoding[..., :3, None]], axis=-1)
    # A head may answer 0, or more than half a turn; focal lengths stay finite and positive.
    fov = np.clip(encoding[..., 7:], _MIN_FOV_RAD, np.pi - _MIN_FOV_RAD)
    intrinsics = np.zeros((*encoding.shape[:-1], 3, 3))
    intrinsics[..., 0, 0] = size.width / 2 / np.tan(fov[..., 1] / 2)
    intrinsics[..., 1, 1] = size.height / 2 / np.tan(fov[..., 0] / 2)
    intrinsics[..., :2, 2] = np.divide(size, 2)
    intrinsics[..., 2, 2] = 1
    return cam_from_world, intrinsics


def encode_cameras(cam_from_world: Float64, intrinsics: Float64, size: Size) -> Float32:
    """Turn cameras into pose encodings; the principal point and skew are lost.

    Args:
        cam_from_world: (…, 3, 4) OpenCV axes.
        intrinsics: (…, 3, 3) px.
        size: Network input size, px.

    Returns:
        (…, 9) float32 with a unit quaternion whose qw is not negative.
    """
    pose = np.asarray(cam_from_world, np.float64)
    focal = np.asarray(intrinsics, np.float64)[..., [1, 0], [1, 0]]  # fy, fx
    fov = 2 * np.arctan(np.divide((size.height, size.width), 2 * focal))
    parts = [pose[..., 3], quat_xyzw_from_rotation(pose[..., :3]), fov]
    return np.concatenate(parts, axis=-1).astype(np.float32)
