"""A frame of a video, reduced for a look at it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vggt_sfm._checks import Float64, UInt8

_THUMBNAIL = (16, 9)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SmallFrame:
    """A frame of a video, reduced for a look at it."""

    number: int
    """In the order of display, from 0."""
    time_s: float
    grey: UInt8  # (H, W)
    sharpness: float
    """Variance of the Laplacian of ``grey``."""


def small_frame(number: int, time_s: float, grey: UInt8) -> SmallFrame:
    """Measure a reduced frame.

    Args:
        number: In the order of display, from 0.
        time_s: When it is shown.
        grey: (H, W).
    """
    sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    return SmallFrame(number=number, time_s=time_s, grey=grey, sharpness=sharpness)


def correlation(first: UInt8, second: UInt8) -> float:
    """Correlate two (H, W) frames as far as light and shadow go, -1 to 1."""
    if first.shape != second.shape:
        return 0.0
    a, b = _thumbnail(first), _thumbnail(second)
    spread = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / spread if spread else float(not a.any() and not b.any())


def _thumbnail(grey: UInt8) -> Float64:
    small = cv2.resize(grey, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float64)
    return np.asarray(small - small.mean())
