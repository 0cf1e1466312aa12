"""Photographs of a model, and new ones that are to join them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vggt_sfm._log import Progress, get_logger
from vggt_sfm.errors import InputError
from vggt_sfm.io.images import ImageFile, read_frame
from vggt_sfm.io.masks import with_alpha_mask
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.scene import Frame, Size, SkippedFile

_UPRIGHT = 1
_logger = get_logger(__name__)


def known_photos(opened: OpenedModel, progress: Progress) -> dict[int, Frame]:
    """Read what the photographs of a model say about themselves.

    Args:
        opened: The model and the photographs that were found.
        progress: Counts photographs.

    Returns:
        By image id, as the model's cameras see them, with the hashes and camera keys of their
        files. What cannot be decoded is left out with a warning.
    """
    wanted = [image for image in opened.images() if image.name in opened.frames]
    found = {}
    with progress.task("reading the model's photographs", len(wanted)) as task:
        for image in wanted:
            frame = opened.frames[image.name]
            try:
                read = read_frame(ImageFile(name=frame.name, path=Path(frame.path)))
            except InputError as error:
                _logger.warning("left out %s of the model: %s", frame.name, error)
            else:
                found[image.image_id] = replace(
                    frame, sha256=read.sha256, camera_key=read.camera_key
                )
            task.advance()
    return found


def new_photos(
    files: Sequence[ImageFile],
    opened: OpenedModel,
    known: Mapping[int, Frame],
    progress: Progress,
    *,
    upright: bool,
) -> tuple[list[Frame], list[SkippedFile]]:
    """Read new photographs.

    Args:
        files: What was found.
        opened: The model.
        known: Its photographs.
        progress: Counts files.
        upright: Whether the model's cameras see photographs turned upright, else as they lie in
            their files.

    Returns:
        Those that can be registered; and the others, each with the reason.
    """
    taken = {image.name for image in opened.model.images.values()}
    twin_of = {frame.sha256: f"{frame.name} of the model" for frame in known.values()}
    root = _common_root(known.values())
    frames: list[Frame] = []
    skipped: list[SkippedFile] = []
    with progress.task("reading", len(files)) as task:
        for file in files:
            named = _named_below(file, root)
            frame = _read(named, upright=upright)
            if isinstance(frame, str):
                skipped.append(SkippedFile(name=named.name, reason=frame))
            elif frame.sha256 in twin_of:
                reason = f"same file as {twin_of[frame.sha256]}"
                skipped.append(SkippedFile(name=named.name, reason=reason, twin=True))
            elif named.name in taken:
                reason = "another photograph of this name is in the model; rename the file"
                skipped.append(SkippedFile(name=named.name, reason=reason))
            else:
                frames.append(frame)
                taken.add(named.name)
                twin_of[frame.sha256] = named.name
            task.advance()
    return frames, skipped


def _read(file: ImageFile, *, upright: bool) -> Frame | str:
    """Return the frame as the model's cameras would see it, or why it cannot be used."""
    try:
        frame = read_frame(file)
        if upright or frame.exif_orientation == _UPRIGHT:
            return with_alpha_mask(frame)
    except InputError as error:
        return str(error)
    lies = Size(*reversed(frame.size)) if frame.exif_orientation >= 5 else frame.size
    return replace(frame, size=lies, exif_orientation=_UPRIGHT)


def _common_root(frames: Iterable[Frame]) -> Path | None:
    """Return the folder that the names of photographs are relative to, if it is one."""
    roots = {
        Path(frame.path).parents[frame.name.count("/")]
        for frame in frames
        if Path(frame.path).as_posix().endswith(f"/{frame.name}")
    }
    return roots.pop() if len(roots) == 1 else None


def _named_below(file: ImageFile, root: Path | None) -> ImageFile:
    """Name a file that lies among the model's photographs as they are named."""
    if root is None or not file.path.is_relative_to(root):
        return file
    return replace(file, name=file.path.relative_to(root).as_posix())
