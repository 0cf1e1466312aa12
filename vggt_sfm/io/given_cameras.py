"""Cameras that others say: are they what they are said to be?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float64, check_shape
from vggt_sfm.scene import Size

# Rotations in half precision are this far from rotations; they are mended.
_ROUNDED = 1e-2
_PLAIN_ROW = 1e-4
_MOST_SKEW = 1e-3  # of the focal length


def checked_poses(names: Sequence[str], poses: Float64) -> Float64:
    """Return poses with rotations that are exactly that.

    Args:
        names: Of S photographs.
        poses: (S, 3, 4) or (S, 4, 4) cam_from_world; rotations may be rounded to half precision.

    Returns:
        (S, 3, 4).

    Raises:
        ValueError: If they are something else.
    """
    key = "cam_from_world"
    rows = poses.shape[1] if poses.ndim == 3 and poses.shape[1] in (3, 4) else 3
    check_shape(key, poses, f"S {rows} 4", {"S": len(names)})
    if rows == 4:
        odd = np.abs(poses[:, 3] - (0, 0, 0, 1)).max(axis=1)
        s = int(np.argmax(np.nan_to_num(odd, nan=np.inf)))
        if not odd[s] <= _PLAIN_ROW:
            raise ValueError(
                f"{key} of {names[s]!r}: its last row is {poses[s, 3].tolist()}, not 0, 0, 0, 1; "
                "is it transposed?"
            )
    for name, pose in zip(names, poses[:, :3], strict=True):
        if not np.isfinite(pose).all():
            raise ValueError(f"{key} of {name!r} is not finite")
        _check_rotation(f"{key} of {name!r}", pose[:, :3])
    rotations = Rotation.from_matrix(poses[:, :3, :3]).as_matrix()
    return np.concatenate([rotations, poses[:, :3, 3:]], axis=2)


def _check_rotation(what: str, matrix: Float64) -> None:
    determinant = float(np.linalg.det(matrix))
    scale = float(np.cbrt(abs(determinant)))
    off = np.abs(matrix @ matrix.T - np.eye(3)).max()
    if off <= _ROUNDED and determinant > 0:
        return
    unscaled = matrix / scale if scale > 0 else matrix
    if determinant < 0:
        reason = f"has determinant {determinant:.3g}: one axis is mirrored"
    elif np.abs(unscaled @ unscaled.T - np.eye(3)).max() <= _ROUNDED:
        reason = f"has scale {scale:.4g}; divide it, and its translation, by that"
    else:
        reason = f"has determinant {determinant:.3g} and rows that are {off:.2g} off orthonormal"
    raise ValueError(f"{what} is no rotation: it {reason}")


def check_intrinsics(names: Sequence[str], intrinsics: Float64, size: Size) -> None:
    """Make sure that (S, 3, 3) are K of pinhole cameras, in px of an image of a size.

    Raises:
        ValueError: If one is not.
    """
    for name, K in zip(names, intrinsics, strict=True):
        reason = _wrong_with(K, size)
        if reason:
            raise ValueError(f"intrinsics of {name!r}: {reason}")


def _wrong_with(K: Float64, size: Size) -> str:
    width, height = size
    if not np.isfinite(K).all():
        return "not finite"
    (fx, skew, cx), (_, fy, cy) = K[:2]
    if abs(K[1, 0]) > _MOST_SKEW * abs(fx) or np.abs(K[2] - (0, 0, 1)).max() > _PLAIN_ROW:
        return f"{K.round(4).tolist()} is no K: zeros below the diagonal and a last row of 0, 0, 1"
    if not (fx > 0 and fy > 0):
        return f"focal lengths {fx:g} and {fy:g} are not positive"
    if abs(skew) > _MOST_SKEW * fx:
        return f"skew {skew:g}, which COLMAP's cameras do not have"
    if cx <= 1 and cy <= 1:
        return f"principal point {cx:g}, {cy:g}: K is in px of the depth map, not normalised"
    if not (0 < cx < width and 0 < cy < height):
        return (
            f"principal point {cx:g}, {cy:g} lies outside of the depth map of {width} x {height} "
            "px, in whose px K is"
        )
    return ""
