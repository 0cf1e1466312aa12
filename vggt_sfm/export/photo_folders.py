"""Folders of photographs and of their masks, as other programs look for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from vggt_sfm._files import replacing_folder
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.errors import InputError
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.io.photos import copy_photo, exported_name, mask_or_all, save_mask
from vggt_sfm.scene import Frame

IMAGES = "images"
MASKS = "masks"
_logger = get_logger(__name__)


def exported_frames(opened: OpenedModel) -> list[Frame]:
    """Return the photographs that have a pose and whose file was found, in natural order.

    Raises:
        InputError: If there are none, or their names cannot be those of files in one folder.
    """
    images = opened.images()
    frames = [opened.frames[image.name] for image in images if image.name in opened.frames]
    if not frames:
        first = f", the first one {images[0].name}" if images else ""
        raise InputError(
            f"the model has {len(images)} images{first}, and no photograph of theirs was found; "
            "say where they are with --images"
        )
    missing = [image.name for image in images if image.name not in opened.frames]
    if missing:
        _logger.warning(
            "%d of %d photographs are left out, whose files are missing or of another size: %s",
            len(missing),
            len(images),
            ", ".join(missing[:3]) + (", …" if len(missing) > 3 else ""),
        )
    _check_names(frames)
    return frames


def _check_names(frames: Sequence[Frame]) -> None:
    """Other tools write any name; none may lead to what is not ours, nor two to one file."""
    taken: dict[str, str] = {}
    for frame in frames:
        path = PurePosixPath(frame.name)
        if path.is_absolute() or ".." in path.parts:
            raise InputError(
                f"the model's image {frame.name} leads outside the folder of the photographs; "
                "rename it in the model"
            )
        other = taken.setdefault(exported_name(frame.name), frame.name)
        if other != frame.name:
            raise InputError(
                f"{other} and {frame.name} would both be exported as {exported_name(frame.name)}; "
                "rename one of them"
            )


def write_photos(folder: Path, frames: Sequence[Frame], progress: Progress) -> None:
    """Write upright photographs, whole or not at all; what shows itself is copied byte by byte."""
    with replacing_folder(folder) as fresh, progress.task("photographs", len(frames)) as task:
        for frame in frames:
            copy_photo(frame, fresh / exported_name(frame.name))
            task.advance()


def mask_name(frame: Frame) -> str:
    """Return how the mask of an exported photograph is named, in COLMAP's manner."""
    return f"{exported_name(frame.name)}.png"


def write_masks(folder: Path, frames: Sequence[Frame], progress: Progress) -> None:
    """Write a mask for every photograph: readers want all or none, so some are all white."""
    with replacing_folder(folder) as fresh, progress.task("masks", len(frames)) as task:
        for frame in frames:
            save_mask(mask_or_all(frame), fresh / mask_name(frame))
            task.advance()


def have_masks(frames: Sequence[Frame]) -> bool:
    """Tell whether any photograph has a mask."""
    return any(frame.mask_path is not None for frame in frames)
