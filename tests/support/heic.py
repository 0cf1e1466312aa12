"""A writer of HEIC files for tests: the product only reads them.

Source: ISO/IEC 23008-12 (HEIF), 14496-12 (boxes) and 14496-15 (HEVC); one image, one tile.
"""

from __future__ import annotations

import struct
from pathlib import Path

import videos
from numpy.typing import NDArray

_FIRST_PARAMETERS = 32  # kinds of units below are parts of pictures
_PARAMETERS = (32, 33, 34)  # of the video, the sequence, the picture


def write(path: Path, pixels: NDArray, quarters_counterclockwise: int = 0) -> Path:
    """Encode (H, W, 3) RGB; a reader turns it as the file says."""
    height, width = pixels.shape[:2]
    film = videos.write(
        path.with_suffix(".hevc"),  # as it is: the muxer of MP4 files refuses it now and then
        [pixels],
        codec="libx265",
        pixels="yuv444p",
        options={"crf": "4", "preset": "ultrafast", "x265-params": "log-level=none"},
    )
    units = _units(film.read_bytes())
    film.unlink()
    settings = _settings(units)
    picture = b"".join(
        struct.pack(">I", len(unit)) + unit for unit in units if _kind(unit) < _FIRST_PARAMETERS
    )
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


def _units(stream: bytes) -> list[bytes]:
    """Split a byte stream at its start codes (ISO/IEC 23008-2, annex B)."""
    return [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1")[1:]]


def _kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _settings(units: list[bytes]) -> bytes:
    """Build the decoder configuration record (ISO/IEC 14496-15, 8.3.3.1)."""
    parameters = [[unit for unit in units if _kind(unit) == kind] for kind in _PARAMETERS]
    sequence = parameters[1][0].replace(b"\0\0\3", b"\0\0")
    # profile, its compatibilities and constraints, level; then the defaults, 4:4:4, 8 bit, and
    # lengths of four bytes
    record = b"\1" + sequence[3:15] + bytes([0xF0, 0, 0xFC, 0xFF, 0xF8, 0xF8, 0, 0, 0x0F, 3])
    for kind, found in zip(_PARAMETERS, parameters, strict=True):
        record += struct.pack(">BH", 0x80 | kind, len(found))
        record += b"".join(struct.pack(">H", len(unit)) + unit for unit in found)
    return record


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
