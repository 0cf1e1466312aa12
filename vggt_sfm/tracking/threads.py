"""How many threads OpenCV uses while tracks are built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def opencv_threads(threads: int) -> Iterator[None]:
    """Let OpenCV use so many threads, 0: one a core, and put the number back afterwards."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads or cv2.getNumberOfCPUs())
    try:
        yield
    finally:
        cv2.setNumThreads(before)
