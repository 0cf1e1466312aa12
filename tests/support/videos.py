"""Small synthetic videos: a camera that moves along a textured wall."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
SIZE = (320, 180)
RATE = 30


@cache
def wall(seed: int = 0, height: int = 400, width: int = 2400) -> UInt8:
    """A picture with detail of several sizes, (H, W, 3)."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for cell, weight in ((100, 45.0), (20, 40.0), (5, 35.0)):
        coarse = rng.uniform(-1, 1, (height // cell + 1, width // cell + 1, 3)).astype(np.float32)
        total += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(total + 128, 0, 255).astype(np.uint8)


def view(left: float, top: float = 20, seed: int = 0, blur_px: float = 0) -> UInt8:
    """What the camera sees of the wall from a place, px; smeared along its way if it is blurred."""
    picture = wall(seed)
    shift = np.array([[1, 0, -left], [0, 1, -top]], np.float64)
    seen = cv2.warpAffine(picture, shift, SIZE, flags=cv2.INTER_LINEAR)
    return cv2.blur(seen, (int(blur_px), 1)) if blur_px else seen


def pan(count: int, step_px: float, seed: int = 0, blurred: Iterable[int] = ()) -> list[UInt8]:
    """Frames of a camera that moves to the right; the given ones are smeared."""
    smeared = set(blurred)
    return [view(n * step_px, seed=seed, blur_px=15 * (n in smeared)) for n in range(count)]


def write(
    path: Path,
    frames: Sequence[UInt8],
    *,
    ticks: Sequence[int] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """Encode frames.

    Args:
        path: Its ending decides the container.
        frames: (H, W, 3) each.
        ticks: When each is shown, in thirtieths of a second; one after the other by default.
        codec: Of FFmpeg.
        pixels: Its pixel format.
        options: For the codec.
        container: Options of the container.
    """
    height, width = frames[0].shape[:2]
    if options is None and codec == "libx264":
        options = {"crf": "12", "preset": "ultrafast"}
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=RATE, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = Fraction(1, RATE)
        for n, pixels_rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_rgb), format="rgb24")
            frame.pts, frame.time_base = (ticks[n] if ticks else n), Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def turn(path: Path, quarters_clockwise: int) -> Path:
    """Tell players of an MP4 file to turn its pictures, as phones do; the pictures stay."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd")
    cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters_clockwise % 4]
    one = 1 << 16
    matrix = (cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30)
    data[header + 44 : header + 80] = struct.pack(">9i", *matrix)
    path.write_bytes(data)
    return path


def write_sound(path: Path, seconds: int = 1) -> Path:
    """Encode silence without any picture."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=48000)
        for n in range(seconds * 48):
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1000)
            frame.planes[0].update(bytes(4000))
            frame.sample_rate, frame.pts = 48000, n * 1000
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path
