"""Take frames out of videos, as photographs to reconstruct from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vggt_sfm._files import replacing_folder
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.errors import InputError
from vggt_sfm.io.images import file_sha256
from vggt_sfm.io.keyframes import (
    ByParallax,
    EveryNth,
    Keyframe,
    choose,
    thinned,
)
from vggt_sfm.io.plain import from_plain, to_plain
from vggt_sfm.io.small_frame import SmallFrame, small_frame
from vggt_sfm.io.video_reader import VideoReader
from vggt_sfm.scene import Frame

FRAMES_FILE = "frames.json"
_SCHEMA = 1  # raised when other frames would be chosen or written
_QUALITY = 95
_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSettings:
    """Which frames of a video to take."""

    every: int | None = None
    """Exactly every Nth, from the first; None chooses by sharpness and parallax."""
    max_frames: int = 200
    """At most so many, thinned evenly along the movement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFrame:
    """A frame of a video that lies in a file."""

    name: str
    """Of the file beside ``frames.json``."""
    number: int
    """Of the frame in the video, from 0."""
    time_s: float
    """When it is shown, as the video says."""
    sharpness: float
    """Variance of the Laplacian at a small size; only comparable with neighbours."""
    displacement: float | None
    """Median movement of corners since the frame before, as a share of the image's width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesReport:
    """The content of ``frames.json``."""

    schema: int
    video: str
    """Name of the file."""
    sha256: str
    """Of its bytes."""
    settings: FrameSettings
    decoded: int
    """Frames in the video that could be decoded."""
    remarks: tuple[str, ...]
    """What is wrong with the video."""
    frames: tuple[WrittenFrame, ...]


def frames_of(video: Path, folder: Path, settings: FrameSettings, progress: Progress) -> list[Path]:
    """Write the frames of a video that are worth reconstructing, upright.

    Nothing is decoded where ``folder`` holds them already: of the same bytes, with the same
    settings. Otherwise the folder appears whole, or not at all.

    Args:
        video: The file.
        folder: Becomes a folder of JPEG files named by the frame's number, and ``frames.json``.
        settings: Which frames to take.
        progress: Where to report long work.

    Returns:
        The files, in the order of the video.

    Raises:
        InputError: If the file holds no video, or none that can be decoded.
        CapabilityError: If PyAV is not installed.
        OSError: If the frames cannot be written.
    """
    sha256 = file_sha256(video)
    report = _kept(folder, sha256, settings)
    if report is None:
        report = _take(video, sha256, folder, settings, progress)
    for remark in report.remarks:
        _logger.warning("%s: %s", video, remark)
    return [folder / frame.name for frame in report.frames]


def frame_times(frames: Iterable[Frame]) -> dict[str, float]:
    """Return when the frames of a video are shown.

    Args:
        frames: Photographs of a scene.

    Returns:
        Seconds by name; empty unless all of them are frames of one video.
    """
    paths = {frame.name: Path(frame.path) for frame in frames}
    folders = {path.parent for path in paths.values()}
    if len(folders) != 1:
        return {}
    report = _read_report(folders.pop())
    times = {frame.name: frame.time_s for frame in report.frames} if report else {}
    if any(path.name not in times for path in paths.values()):
        return {}
    return {name: times[path.name] for name, path in paths.items()}


def _read_report(folder: Path) -> FramesReport | None:
    try:
        plain = json.loads((folder / FRAMES_FILE).read_text(encoding="utf-8"))
        return from_plain(FramesReport, plain)
    except (OSError, ValueError):
        return None


def _kept(folder: Path, sha256: str, settings: FrameSettings) -> FramesReport | None:
    """Return the report of frames that are there and would be the same again."""
    report = _read_report(folder)
    if report is None:
        return None
    wanted = (_SCHEMA, sha256, settings)
    same = (report.schema, report.sha256, report.settings) == wanted
    return report if same and all((folder / f.name).is_file() for f in report.frames) else None


def _take(
    video: Path, sha256: str, folder: Path, settings: FrameSettings, progress: Progress
) -> FramesReport:
    with VideoReader(video) as reader:
        chooser = ByParallax() if settings.every is None else EveryNth(settings.every)
        with progress.task(f"choosing frames of {video.name}", reader.expected_frames) as task:

            def looked_at() -> Iterable[SmallFrame]:
                for frame in reader.frames():
                    task.advance()
                    if chooser.wants(frame.number):
                        yield small_frame(frame.number, frame.time_s, frame.grey())

            found = choose(looked_at(), chooser)
        if not found:
            raise InputError(f"{video}: no frame of this video can be decoded")
        decoded, remarks = reader.decoded, reader.remarks()
    chosen = thinned(found, settings.max_frames)
    _say(video, settings, decoded, len(found), len(chosen))
    with replacing_folder(folder) as temporary:
        written = _write(video, chosen, temporary, progress)
        report = FramesReport(
            schema=_SCHEMA,
            video=video.name,
            sha256=sha256,
            settings=settings,
            decoded=decoded,
            remarks=remarks,
            frames=written,
        )
        text = json.dumps(to_plain(report), indent=1)
        (temporary / FRAMES_FILE).write_text(text + "\n", encoding="utf-8")
    return report


def _say(video: Path, settings: FrameSettings, decoded: int, found: int, chosen: int) -> None:
    _logger.info("%s: %d of %d frames are taken", video.name, chosen, decoded)
    if chosen < found and settings.every is not None:
        _logger.warning(
            "%s: --every %d takes %d frames; thinned to --max-frames %d",
            video.name,
            settings.every,
            found,
            chosen,
        )
    elif chosen < found:
        _logger.info("%s: thinned from %d to --max-frames %d", video.name, found, chosen)


def _write(
    video: Path, chosen: list[Keyframe], folder: Path, progress: Progress
) -> tuple[WrittenFrame, ...]:
    """Decode the video again, up to the last chosen frame, and write these at full size."""
    wanted = {keyframe.number: keyframe for keyframe in chosen}
    written: list[WrittenFrame] = []
    with (
        VideoReader(video) as reader,
        progress.task(f"writing frames of {video.name}", len(chosen)) as task,
    ):
        for frame in reader.frames():
            keyframe = wanted.get(frame.number)
            if keyframe is None:
                continue
            name = f"{frame.number:06d}.jpg"
            image = Image.fromarray(frame.upright_rgb())
            image.save(folder / name, quality=_QUALITY, subsampling=0)
            written.append(
                WrittenFrame(
                    name=name,
                    number=keyframe.number,
                    time_s=keyframe.time_s,
                    sharpness=keyframe.sharpness,
                    displacement=keyframe.displacement,
                )
            )
            task.advance()
            if len(written) == len(chosen):
                break
    return tuple(written)
