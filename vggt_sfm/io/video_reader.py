"""Decode the frames of a video one after another, with PyAV (FFmpeg)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Self

import numpy as np

from vggt_sfm._checks import UInt8
from vggt_sfm.errors import InputError, missing_extra

if TYPE_CHECKING:
    import av
    import av.container

_SMALL_SIDE_PX = 480
_UNSPECIFIED_COLOR, _HD_COLOR, _HD_ROWS = 2, "ITU709", 720
_MOST_MISSING = 0.02  # share of frames; containers round
_MOST_MISSING_S = 1.0


def import_av() -> ModuleType:
    """Return PyAV.

    Raises:
        CapabilityError: If it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise missing_extra("videos need", "video") from error
    return av


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VideoFrame:
    """A decoded frame, in the pixels of the video until it is asked for others."""

    number: int
    """In the order of display, from 0; broken frames count."""
    time_s: float
    """When it is shown, as the video says."""
    decoded: av.VideoFrame
    pixel_aspect: float
    """Width of a pixel divided by its height."""

    def grey(self) -> UInt8:
        """Return (H, W) at a small size, turned as it lies in the file."""
        frame = self.decoded
        width = frame.width * self.pixel_aspect
        scale = min(1.0, _SMALL_SIDE_PX / max(width, frame.height))
        small = frame.reformat(
            width=max(2, round(width * scale)),
            height=max(2, round(frame.height * scale)),
            format="gray",
            interpolation="AREA",
        )
        return np.ascontiguousarray(small.to_ndarray())

    def upright_rgb(self) -> UInt8:
        """Return (H, W, 3) as it is meant to be looked at, with square pixels."""
        frame = self.decoded
        # Videos in high definition that do not say so have the colours of high definition.
        unsaid = frame.colorspace == _UNSPECIFIED_COLOR and frame.height >= _HD_ROWS
        rgb = frame.reformat(
            width=max(1, round(frame.width * self.pixel_aspect)),
            format="rgb24",
            src_colorspace=_HD_COLOR if unsaid else None,
            interpolation="BICUBIC",
        ).to_ndarray()
        return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)), np.uint8)


class VideoReader:
    """The pictures of one video file; for a ``with`` block, to be gone through once."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            InputError: If it is no video.
            CapabilityError: If PyAV is not installed.
        """
        self._path = path
        self._av = import_av()
        try:
            self._container = self._av.open(str(path))
        except self._av.FFmpegError as error:
            raise InputError(
                f"{path}: not a video that can be read, or cut off: {error.strerror}"
            ) from error
        cover = self._av.stream.Disposition.attached_pic
        streams = [s for s in self._container.streams.video if not s.disposition & cover]
        if not streams:
            self._container.close()
            raise InputError(f"{path}: holds no video, only sound or pictures beside it")
        self._stream = streams[0]
        self._stream.thread_type = "AUTO"
        self._broken = self._interlaced = 0
        self._last_time_s = 0.0
        self.decoded = 0
        """Frames so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def expected_frames(self) -> int | None:
        """How many frames the file says it has; None where it does not."""
        return self._stream.frames or None

    def frames(self) -> Iterator[VideoFrame]:
        """Decode whatever can be decoded, in the order of display."""
        aspect = self._stream.sample_aspect_ratio
        rate = self._stream.average_rate
        for number, frame in enumerate(self._decode()):
            # PyAV does not say that the time may be missing.
            shown: float | None = frame.time if frame.pts is not None else None
            time_s = shown if shown is not None else number / float(rate or 1)
            if frame.is_corrupt:
                self._broken += 1
            else:
                self.decoded += 1
                self._last_time_s = float(time_s)
                self._interlaced += frame.interlaced_frame
                yield VideoFrame(
                    number=number,
                    time_s=float(time_s),
                    decoded=frame,
                    pixel_aspect=float(aspect) if aspect else 1.0,
                )

    def remarks(self) -> tuple[str, ...]:
        """Say what is wrong with the video, once all frames have been gone through."""
        said = []
        if self._broken or self._is_cut_off():
            declared = self._stream.frames
            of = f" of {declared}" if declared > self.decoded else ""
            seconds = self._seconds()
            length = f" of {seconds:.1f} s" if seconds > self._last_time_s else ""
            said.append(
                f"damaged or cut off; {self.decoded}{of} frames can be used, the last at "
                f"{self._last_time_s:.1f} s{length}"
            )
        if self._interlaced:
            said.append(
                f"{self._interlaced} of {self.decoded} frames are interlaced, moving edges are "
                "combs in them; a deinterlaced copy gives better results"
            )
        return tuple(said)

    def _decode(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            try:
                yield from self._stream.decode(packet)
            except self._av.FFmpegError:
                self._broken += 1

    def _packets(self) -> Iterator[av.Packet[av.VideoStream] | None]:
        """Read on behind what cannot be read; the last packet is the end of the stream."""
        read, failed_at = 0, -1
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    read += 1
                    yield packet
                return
            except self._av.FFmpegError:
                self._broken += 1
                if failed_at == read:
                    break
                failed_at = read
        yield None  # what the decoder still holds

    def _seconds(self) -> float:
        """Length that the file declares, s; 0 where it does not."""
        stream, container = self._stream, self._container
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return float((container.duration or 0) / self._av.time_base)

    def _is_cut_off(self) -> bool:
        if self._stream.frames:
            return bool(self.decoded < (1 - _MOST_MISSING) * self._stream.frames - 1)
        start = (self._container.start_time or 0) / self._av.time_base
        missing_s = self._seconds() - (self._last_time_s - start)
        return bool(missing_s > max(_MOST_MISSING_S, _MOST_MISSING * self._seconds()))
