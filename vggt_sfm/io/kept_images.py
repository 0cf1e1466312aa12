"""Decoded photographs that several steps look at."""

from __future__ import annotations

from vggt_sfm._checks import UInt8
from vggt_sfm.io.images import read_upright
from vggt_sfm.scene import Frame

_MOST_BYTES = 256 * 2**20


class KeptImages:
    """Reads upright photographs and keeps the first ones, as far as memory allows.

    Steps go through the frames in one order, so keeping the last ones would never help.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._room = most_bytes
        self._kept: dict[str, UInt8] = {}

    def __call__(self, frame: Frame) -> UInt8:
        """Return (H, W, 3) read-only RGB; errors are those of ``read_upright``."""
        image = self._kept.get(frame.path)
        if image is None:
            image = read_upright(frame.path)
            image.flags.writeable = False
            if image.nbytes <= self._room:
                self._room -= image.nbytes
                self._kept[frame.path] = image
        return image
