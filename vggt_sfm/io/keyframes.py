"""Choose the frames of a video that are worth reconstructing: sharp, and a step apart.

How far the camera has moved is seen from corners of the last keyframe, which are followed from
frame to frame. Sharpness depends on what is in view, so it is only compared with that of the
frames around. Nothing kept here grows with the video but the list of keyframes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from vggt_sfm.io.corner_flow import CornerFlow, Step
from vggt_sfm.io.small_frame import SmallFrame, correlation

_STEP = 0.08
"""Movement from keyframe to keyframe, as a share of the image's width: neighbours then share about
nine tenths of what they show, and corners can be followed over ten of them."""
_WINDOW = (0.7 * _STEP, 1.3 * _STEP)
_LONGEST_WINDOW = 2.5 * _STEP
_FEWEST_IN_WINDOW, _MOST_IN_WINDOW = 3, 30
_MOSTLY_LOST, _LOST = 0.5, 0.3  # shares of the keyframe's corners
_FRAMES_AT_AN_END = 3
_MUCH_SHARPER, _ABOUT_AS_SHARP, _BLURRED = 1.3, 0.9, 0.5  # times the sharpness compared with
_LONGEST_BLUR = 8  # frames
_EMPTY = 0.5  # sharpness of black, or of a wall without a mark; noise has more
_SAME_SHOT = 0.5  # correlation of thumbnails


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyframe:
    """A chosen frame."""

    number: int
    time_s: float
    sharpness: float
    displacement: float | None
    """Median movement of corners since the keyframe before, as a share of the image's width; None
    where nothing could be followed, as over a cut."""


class Chooser(Protocol):
    """Takes frames in order, and says at the end which to keep."""

    def wants(self, number: int) -> bool:
        """Tell whether the frame of this number has to be looked at."""

    def add(self, frame: SmallFrame) -> None:
        """Look at the next frame."""

    def finish(self) -> list[Keyframe]:
        """Return what was chosen, in order."""


def thinned(keyframes: Sequence[Keyframe], most: int) -> list[Keyframe]:
    """Keep at most ``most`` keyframes, evenly along the movement, the first and last among them."""
    if len(keyframes) <= most:
        return list(keyframes)
    steps = [_STEP if k.displacement is None else k.displacement for k in keyframes[1:]]
    # What stands still has to be thinned too.
    way = np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1e-3 * _STEP))])
    kept: list[int] = []
    for n, target in enumerate(np.linspace(0, way[-1], most)):
        first = kept[-1] + 1 if kept else 0
        last = len(keyframes) - (most - n)
        kept.append(first + int(np.abs(way[first : last + 1] - target).argmin()))
    found = [keyframes[kept[0]]]
    for before, index in pairwise(kept):
        between = [k.displacement for k in keyframes[before + 1 : index + 1]]
        known = [d for d in between if d is not None]
        total = sum(known) if len(known) == len(between) else None
        found.append(replace(keyframes[index], displacement=total))
    return found


class EveryNth:
    """Keeps exactly every Nth frame, from the first."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._chosen: list[Keyframe] = []
        self._last: SmallFrame | None = None

    def wants(self, number: int) -> bool:
        """Tell whether the frame is one of those."""
        return number % self._every == 0

    def add(self, frame: SmallFrame) -> None:
        """Keep the frame."""
        displacement: float | None = 0.0
        if self._last is not None:
            step = CornerFlow(self._last.grey).follow(frame.grey)
            displacement = None if step.kept < _LOST else step.displacement
        self._chosen.append(_keyframe(frame, displacement))
        self._last = frame

    def finish(self) -> list[Keyframe]:
        """Return all that were added."""
        return self._chosen


class ByParallax:
    """Keeps the sharpest frame wherever the camera has moved on, and both sides of each cut."""

    def __init__(self) -> None:
        self._chosen: list[Keyframe] = []
        self._flow: CornerFlow | None = None
        self._last: SmallFrame | None = None  # to which corners have been followed
        self._since = 0  # frames since the shot began
        self._blurred = 0  # frames passed over in a row
        self._window: list[tuple[SmallFrame, float | None]] = []
        self._recent: deque[tuple[SmallFrame, float | None]] = deque(maxlen=_FRAMES_AT_AN_END)

    def wants(self, number: int) -> bool:
        """Tell that every frame is looked at."""
        return True

    def add(self, frame: SmallFrame) -> None:
        """Look at the next frame."""
        if self._flow is None or self._last is None:
            self._begin_shot(frame, 0.0)
            return
        step = self._flow.look(frame.grey)
        lost = step.kept_of_last < _LOST
        if lost and correlation(self._last.grey, frame.grey) < _SAME_SHOT:
            self._end_shot()
            self._begin_shot(frame, None)
        elif lost and self._is_blurred(frame, self._last):
            self._blurred += 1  # the next one may be recognized again
        else:
            self._flow.accept()
            self._last, self._blurred = frame, 0
            self._since += 1
            self._consider(frame, step)

    def finish(self) -> list[Keyframe]:
        """Return what was chosen, with the end of the last shot.

        Empty frames, as after a fade, are left out where two others remain.
        """
        self._end_shot()
        seen = [keyframe for keyframe in self._chosen if keyframe.sharpness >= _EMPTY]
        return seen if len(seen) >= 2 else self._chosen

    def _is_blurred(self, frame: SmallFrame, last: SmallFrame) -> bool:
        return frame.sharpness < _BLURRED * last.sharpness and self._blurred < _LONGEST_BLUR

    def _consider(self, frame: SmallFrame, step: Step) -> None:
        moved = step.displacement
        self._recent.append((frame, moved))
        if moved is None or moved >= _WINDOW[0] or step.kept < _MOSTLY_LOST:
            self._window.append((frame, moved))
        elif self._since < _FRAMES_AT_AN_END:
            first = self._chosen[-1]
            if frame.sharpness > _MUCH_SHARPER * first.sharpness:
                self._chosen.pop()
                self._choose(frame, first.displacement)
        if self._window and self._window_is_over(step):
            best = _best(self._window)
            later = [candidate for candidate, _ in self._window[best + 1 :]]
            self._choose(*self._window[best])
            for candidate in later:
                self.add(candidate)

    def _window_is_over(self, step: Step) -> bool:
        moved, count = step.displacement, len(self._window)
        if moved is None or step.kept < _LOST or count >= _MOST_IN_WINDOW:
            return True
        return moved >= _LONGEST_WINDOW or (moved >= _WINDOW[1] and count >= _FEWEST_IN_WINDOW)

    def _begin_shot(self, frame: SmallFrame, displacement: float | None) -> None:
        self._since = 0
        self._choose(frame, displacement)

    def _end_shot(self) -> None:
        if self._recent:
            frame, moved = max(self._recent, key=lambda pair: pair[0].sharpness)
            self._chosen.append(_keyframe(frame, moved))

    def _choose(self, frame: SmallFrame, displacement: float | None) -> None:
        self._chosen.append(_keyframe(frame, displacement))
        self._flow, self._last, self._blurred = CornerFlow(frame.grey), frame, 0
        self._window.clear()
        self._recent.clear()


def _best(window: Sequence[tuple[SmallFrame, float | None]]) -> int:
    """Return the index of the sharpest frame; of those about as sharp, the one a step away."""
    enough = _ABOUT_AS_SHARP * max(frame.sharpness for frame, _ in window)
    sharp = [n for n, (frame, _) in enumerate(window) if frame.sharpness >= enough]
    off = [abs((window[n][1] or _STEP) - _STEP) for n in sharp]
    return sharp[int(np.argmin(off))]


def choose(frames: Iterable[SmallFrame], chooser: Chooser) -> list[Keyframe]:
    """Pass frames to a chooser, and return what it has chosen."""
    for frame in frames:
        chooser.add(frame)
    return chooser.finish()


def _keyframe(frame: SmallFrame, displacement: float | None) -> Keyframe:
    return Keyframe(
        number=frame.number,
        time_s=frame.time_s,
        sharpness=frame.sharpness,
        displacement=displacement,
    )
