"""Small pictures of photographs and of their depth, for people."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from vggt_sfm._checks import Float32, UInt8
from vggt_sfm.io.images import opened, turned
from vggt_sfm.io.photos import read_photo
from vggt_sfm.scene import Frame

_UNKNOWN_RGB = (40, 40, 40)
_SHOWN_PERCENTILES = (2, 98)


def thumbnail(frame: Frame, long_side: int) -> Image.Image:
    """Return a photograph as its camera sees it, at most ``long_side`` px long.

    A large JPEG is decoded at a fraction of its size, which takes a fraction of the time.

    Raises:
        InputError: If it cannot be decoded.
    """
    with opened(frame.path) as image:
        if image.format == "JPEG" and image.mode == "RGB":
            image.draft("RGB", (long_side, long_side))
            image.load()
            small = turned(image, frame.exif_orientation)
        else:
            small = Image.fromarray(read_photo(frame))
        small.thumbnail((long_side, long_side), Image.Resampling.BOX)
        return small


def depth_picture(depth: Float32) -> UInt8:
    """Paint an (H, W) depth map: near is yellow, far is blue, unknown is dark grey.

    Colours follow the inverse of depth between its percentiles 2 and 98.
    """
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        return np.full((*depth.shape, 3), _UNKNOWN_RGB, np.uint8)
    nearness = 1 / np.where(known, depth, 1)
    low, high = np.percentile(nearness[known], _SHOWN_PERCENTILES)
    level = np.clip((nearness - low) / max(high - low, 1e-12), 0, 1)
    bgr = cv2.applyColorMap(np.rint(255 * level).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return np.where(known[..., None], bgr[..., ::-1], np.array(_UNKNOWN_RGB)).astype(np.uint8)
