"""Follow the corners of one image through those after it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vggt_sfm._checks import Float32, UInt8

_MOST_CORNERS = 300
_FEWEST_CORNERS = 8  # with less, their median says nothing
_LEAST_QUALITY = 0.01  # of the best corner's
_CORNERS_ACROSS = 60  # sets their distance
_WINDOW_PX = (21, 21)
_PYRAMID_LEVELS = 4
_MOST_RETURN_PX = 1.0  # between a corner and where it is when followed there and back


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What became of the corners."""

    displacement: float | None
    """Median distance from where they began, as a share of the image's width; None with too few."""
    kept: float
    """Share of the first image's corners that are still there; 0 if it had too few."""
    kept_of_last: float
    """Share of those found in the last accepted image that are still there; 1 if it had none."""


class CornerFlow:
    """Corners of an image, followed from image to image by their surroundings."""

    def __init__(self, grey: UInt8) -> None:
        """Find corners in a (H, W) image."""
        self._image = self._next_image = grey
        self._begin = self._next_begin = _corners(grey)
        self._points = self._next_points = self._begin
        self._total = len(self._begin)

    def follow(self, grey: UInt8) -> Step:
        """Follow the corners to a (H, W) image and go on from there."""
        step = self.look(grey)
        self.accept()
        return step

    def look(self, grey: UInt8) -> Step:
        """Follow the corners to a (H, W) image without going on from there."""
        self._next_image = grey
        if self._total < _FEWEST_CORNERS:
            # Nothing to follow yet: the first image with corners is one to begin from.
            found = 0.0 if len(_corners(grey)) >= _FEWEST_CORNERS else 1.0
            return Step(displacement=0.0 if found else None, kept=found, kept_of_last=1.0)
        before = len(self._points)
        if before and grey.shape == self._image.shape:
            self._next_points, good = _follow(self._image, grey, self._points)
        else:
            self._next_points, good = self._points, np.zeros(before, bool)
        self._next_points, self._next_begin = self._next_points[good], self._begin[good]
        kept = len(self._next_points)
        moved = np.linalg.norm(self._next_points - self._next_begin, axis=1)
        return Step(
            displacement=float(np.median(moved)) / grey.shape[1]
            if kept >= _FEWEST_CORNERS
            else None,
            kept=kept / self._total,
            kept_of_last=kept / before if before else 1.0,
        )

    def accept(self) -> None:
        """Go on from the image that was looked at last."""
        self._image = self._next_image
        self._points, self._begin = self._next_points, self._next_begin


def _corners(grey: UInt8) -> Float32:
    """Return (N, 2) corners, px."""
    distance_px = max(grey.shape) / _CORNERS_ACROSS
    found = cv2.goodFeaturesToTrack(grey, _MOST_CORNERS, _LEAST_QUALITY, distance_px)
    return np.zeros((0, 2), np.float32) if found is None else np.asarray(found[:, 0], np.float32)


def _follow(first: UInt8, second: UInt8, xy: Float32) -> tuple[Float32, np.ndarray]:
    """Return the (N, 2) places in the second image, and which (N,) lead back."""
    # The copies are only room for the result.
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        first, second, xy, xy.copy(), winSize=_WINDOW_PX, maxLevel=_PYRAMID_LEVELS
    )
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(
        second, first, there, xy.copy(), winSize=_WINDOW_PX, maxLevel=_PYRAMID_LEVELS
    )
    astray = np.linalg.norm(back - xy, axis=1)
    good = (found[:, 0] == 1) & (found_back[:, 0] == 1) & (astray < _MOST_RETURN_PX)
    return np.asarray(there, np.float32), good
