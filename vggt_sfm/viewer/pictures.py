"""Photographs and depth maps as small pictures."""

from __future__ import annotations

import cv2
import numpy as np

from vggt_sfm._checks import Float32, UInt8
from vggt_sfm._log import get_logger
from vggt_sfm.errors import InputError
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.io.thumbnails import depth_picture, thumbnail

_logger = get_logger(__name__)


def shrunk(picture: UInt8, long_side: int) -> UInt8:
    """Return an (H, W, 3) picture whose longer side has at most ``long_side`` px."""
    height, width = picture.shape[:2]
    factor = long_side / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def small_photo(opened: OpenedModel, name: str, long_side: int) -> UInt8 | None:
    """Return a photograph at ``long_side`` px, or None if it is not there or cannot be read."""
    frame = opened.frames.get(name)
    if frame is None:
        return None
    try:
        return np.asarray(thumbnail(frame, long_side))
    except (InputError, OSError) as error:
        _logger.warning("%s is shown without its photograph: %s", name, error)
        return None


def overlay(photo: UInt8 | None, depth: Float32 | None, mix: float, long_side: int) -> UInt8 | None:
    """Lay a depth map over its photograph.

    Args:
        photo: (H, W, 3) RGB, or None.
        depth: (h, w) of the same view, of whatever size, or None.
        mix: 0 shows the photograph, 1 the depth.
        long_side: Of the result, px at most.

    Returns:
        The picture: the one that there is where there is only one, None where there is none.
    """
    painted = None if depth is None else depth_picture(depth)
    if photo is None or painted is None:
        only = painted if photo is None else photo
        return None if only is None else shrunk(only, long_side)
    photo = shrunk(photo, long_side)
    fitted = cv2.resize(painted, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    mixed = (1 - mix) * photo.astype(np.float32) + mix * fitted.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)
