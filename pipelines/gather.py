"""The files a run is made from: photographs as they are, videos as frames taken from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vggt_sfm._log import Progress, get_logger
from vggt_sfm.io.images import ImageFile, discover, in_order, natural_key
from vggt_sfm.io.sources import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Source,
    as_list,
    files_by_source,
    files_of,
)
from vggt_sfm.io.video import FrameSettings, frames_of
from vggt_sfm.io.video_reader import import_av
from vggt_sfm.pipelines.config import IngestConfig
from vggt_sfm.pipelines.stage import writing

FRAMES = "frames"
"""Folder of frames taken from videos, relative to the output."""
_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the user named, found and not yet opened."""

    photos: tuple[ImageFile, ...]
    """In natural order."""
    videos: tuple[Path, ...] = ()
    """Absolute, in natural order."""


def default_output(images: str | Path | Sequence[str | Path]) -> Path:
    """Return where results go if nobody says: beside a folder or a video, else in this folder."""
    listed = [images] if isinstance(images, str | Path) else images
    first = Path(listed[0])
    beside = len(listed) == 1 and (first.is_dir() or first.suffix.lower() in VIDEO_SUFFIXES)
    return (first.absolute().parent if beside else Path.cwd()) / "vggt-sfm-out"


def find_sources(images: Source | Sequence[Source], exclude: Sequence[Path]) -> Sources:
    """Find the photographs and videos of a run.

    The videos of a folder with photographs are passed over, as phones put short ones beside them;
    a video that is named itself is always taken.

    Args:
        images: A folder, a glob, a text file with one path per line, a video, or several of them.
        exclude: Folders whose content is not taken.

    Raises:
        InputError: If a source does not exist, or nothing is found.
        CapabilityError: If there are videos and the package that decodes them is missing.
    """
    listed = as_list(images)
    videos = _find_videos(listed, exclude)
    if not videos:
        return Sources(photos=tuple(discover(images, exclude)))
    import_av()  # before any work
    photos = files_of(listed, IMAGE_SUFFIXES, exclude)
    return Sources(photos=tuple(in_order(photos)) if photos else (), videos=tuple(videos))


def gather(
    sources: Sources, output: Path, config: IngestConfig, progress: Progress
) -> list[ImageFile]:
    """Return the image files of a run, after taking frames from its videos.

    Args:
        sources: From ``find_sources``.
        output: Frames go into ``frames/NAME`` in this folder.
        config: Which frames and photographs to take.
        progress: Where to report long work.

    Returns:
        In natural order. With one video alone, names are those of its frames; with several
        sources they begin below the deepest folder that holds all files.

    Raises:
        InputError: If a video cannot be decoded.
        ReconstructionError: If frames cannot be written.
    """
    photos = sources.photos[:: config.every or 1]
    if len(photos) < len(sources.photos):
        _logger.info(
            "--every %d: %d of %d photos are taken",
            config.every,
            len(photos),
            len(sources.photos),
        )
    if not sources.videos:
        return list(photos)
    settings = FrameSettings(every=config.every, max_frames=config.max_frames)
    paths = [photo.path for photo in photos]
    for video, name in zip(sources.videos, _folder_names(sources.videos), strict=True):
        folder = output / FRAMES / name
        with writing(folder):
            paths += frames_of(video, folder, settings, progress)
    return in_order(paths)


def without_choice(config: IngestConfig) -> IngestConfig:
    """Leave out what only chooses files: where these lie and what they hold is a key already."""
    plain = IngestConfig()
    return replace(config, masks=None, rig=None, every=plain.every, max_frames=plain.max_frames)


def _find_videos(listed: list[Source], exclude: Sequence[Path]) -> list[Path]:
    found: set[Path] = set()
    photos_by_source = files_by_source(listed, IMAGE_SUFFIXES, exclude)
    videos_by_source = files_by_source(listed, VIDEO_SUFFIXES, exclude)
    for source, photos, videos in zip(listed, photos_by_source, videos_by_source, strict=True):
        if videos and photos and Path(source).expanduser().is_dir():
            _logger.warning(
                "%s holds photos: its %d videos are passed over; name a video to use it",
                source,
                len(videos),
            )
        else:
            found |= videos
    return sorted(found, key=lambda path: natural_key(str(path)))


def _folder_names(videos: Sequence[Path]) -> list[str]:
    """Name a folder for each video, in their order; after the file, if that tells them apart."""
    stems = [video.stem for video in videos]
    alike = len({stem.casefold() for stem in stems}) < len(stems)
    return [file.name for file in in_order(videos)] if alike else stems
