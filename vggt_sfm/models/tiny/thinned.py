"""Corrections of depth that are computed at some of the pixels and applied at all."""

from __future__ import annotations

import cv2
import numpy as np

from vggt_sfm._checks import Float32, Float64

_STRIDE = 4  # px
_FIRST = _STRIDE // 2


def thin(maps: Float32) -> Float32:
    """Return every fourth row and column of (…, H, W) maps."""
    return maps[..., _FIRST::_STRIDE, _FIRST::_STRIDE]


def thin_centers(height: int, width: int) -> Float64:
    """Return the (h, w, 2) positions, px of (H, W) maps, of what ``thin`` takes."""
    y, x = thin(np.indices((height, width), np.float32)).astype(np.float64) + 0.5
    return np.stack([x, y], -1)


def thin_index(xy: Float64) -> Float64:
    """Return the (…, 2) fractional column and row among what ``thin`` takes of (…, 2) px."""
    return (xy - _FIRST - 0.5) / _STRIDE


def scaled(depth: Float32, correction: Float64) -> Float32:
    """Multiply (H, W) depth by the exponential of a (h, w) correction at every fourth pixel."""
    size = depth.shape[1], depth.shape[0]
    full = cv2.resize(correction.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(depth * np.exp(full), np.float32)
