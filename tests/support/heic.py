"""A writer of HEIC files for tests: the product only reads them.

Source: ISO/IEC 23008-12 (HEIF), 14496-12 (boxes) and 14496-15 (HEVC); one image, one tile.
"""

from __future__ import annotations

import struct
from pathlib import Path

import av
import videos
from numpy.typing import NDArray


def write(path: Path, pixels: NDArray, quarters_counterclockwise: int = 0) -> Path:
    """Encode (H, W, 3) RGB; a reader turns it as the file says."""
    height, width = pixels.shape[:2]
    film = videos.write(
        path.with_suffix(".tmp.mp4"),
        [pixels],
        codec="libx265",
        pixels="yuv444p",
        options={"crf": "4", "preset": "ultrafast", "x265-params": "log-level=none"},
    )
    with av.open(str(film)) as file:
        stream = file.streams.video[0]
        settings = bytes(stream.codec_context.extradata or b"")
        picture = bytes(next(file.demux(stream)))
    film.unlink()
    properties = (
        _box(b"hvcC", settings)
        + _box(b"ispe", struct.pack(">III", 0, width, height))
        + _box(b"irot", bytes([quarters_counterclockwise % 4]))
    )
    # version and flags, one item, its number, how many properties it has, which: 1 is essential
    of_item = struct.pack(">IIHB3B", 0, 1, 1, 3, 0x81, 0x02, 0x83)
    kind = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    # The place of the picture is behind the boxes, whose size does not depend on it.
    empty = _meta(properties, of_item, 0, len(picture))
    begin = len(kind) + len(empty) + 8
    meta = _meta(properties, of_item, begin, len(picture))
    path.write_bytes(kind + meta + _box(b"mdat", picture))
    return path


def _meta(properties: bytes, of_item: bytes, begin: int, size: int) -> bytes:
    entry = _box(b"infe", struct.pack(">BBHHH4sB", 2, 0, 0, 1, 0, b"hvc1", 0))
    return _box(
        b"meta",
        bytes(4)
        + _box(b"hdlr", bytes(8) + b"pict" + bytes(13))
        + _box(b"pitm", struct.pack(">IH", 0, 1))
        + _box(b"iloc", struct.pack(">IHHHHHII", 0, 0x4400, 1, 1, 0, 1, begin, size))
        + _box(b"iinf", struct.pack(">IH", 0, 1) + entry)
        + _box(b"iprp", _box(b"ipco", properties) + _box(b"ipma", of_item)),
    )


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content
