"""Which photographs may have been taken with one camera, where their files do not tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from PIL import Image

from vggt_sfm.io.exif import camera_key
from vggt_sfm.io.rig_config import prefix_of, prefixes_in, read_rigs
from vggt_sfm.scene import Frame

Sharing = Literal["auto", "one", "folder", "exif", "image"]


def with_shared_cameras(
    frames: Sequence[Frame], sharing: Sharing, rig: Path | None = None
) -> list[Frame]:
    """Give photographs that share a camera equal keys.

    Args:
        frames: With the keys that EXIF data give.
        sharing: ``one``: those of one size; ``folder``: of a folder and size; ``exif``: as EXIF
            says, see ``_separate_unknown``; ``image``: none; ``auto``: ``exif`` in each folder.
        rig: COLMAP's rig_config.json; its cameras count before ``sharing``.

    Raises:
        InputError: If the rig cannot be read, or has cameras of no photograph.
    """
    match sharing:
        case "one":
            shared = [_with_key(frame, _size(frame)) for frame in frames]
        case "folder":
            shared = [_with_key(frame, f"{_folder(frame)} {_size(frame)}") for frame in frames]
        case "exif":
            shared = _separate_unknown(frames)
        case "image":
            shared = [_with_key(frame, f"of {frame.name}") for frame in frames]
        case "auto":
            shared = _by_folder_and_exif(frames)
    return shared if rig is None else _by_rig(shared, rig)


def _with_key(frame: Frame, key: str) -> Frame:
    return replace(frame, camera_key=key)


def _size(frame: Frame) -> str:
    return f"{frame.size.width}x{frame.size.height}"


def _by_rig(frames: Sequence[Frame], path: Path) -> list[Frame]:
    prefixes = prefixes_in(read_rigs(path, [frame.name for frame in frames]))
    owners = [prefix_of(frame.name, prefixes) for frame in frames]
    return [
        frame if prefix is None else _with_key(frame, f"rig {prefix} {_size(frame)}")
        for frame, prefix in zip(frames, owners, strict=True)
    ]


def _separate_unknown(frames: Sequence[Frame]) -> list[Frame]:
    """Give photographs of several sizes that do not name their camera one camera each.

    Photographs of one size, upright or turned, are taken to be from one camera; a mixture of
    sizes without EXIF data is how collected photographs look.
    """
    unknown = [_camera_is_unknown(frame) for frame in frames]
    shapes = {tuple(sorted(f.size)) for f, u in zip(frames, unknown, strict=True) if u}
    if len(shapes) < 2:
        return list(frames)
    return [
        replace(frame, camera_key=f"{frame.camera_key} of {frame.name}") if alone else frame
        for frame, alone in zip(frames, unknown, strict=True)
    ]


def _by_folder_and_exif(frames: Sequence[Frame]) -> list[Frame]:
    """Give the photographs of each folder cameras of their own, where there are several folders.

    Within a folder, ``_separate_unknown`` decides.
    """
    folders: dict[str, list[Frame]] = {}
    for frame in frames:
        folders.setdefault(_folder(frame), []).append(frame)
    if len(folders) < 2:
        return _separate_unknown(frames)
    keys = {
        frame.name: f"{frame.camera_key} in {folder}"
        for folder, members in folders.items()
        for frame in _separate_unknown(members)
    }
    return [replace(frame, camera_key=keys[frame.name]) for frame in frames]


def _folder(frame: Frame) -> str:
    return frame.name.rpartition("/")[0]


def _camera_is_unknown(frame: Frame) -> bool:
    return frame.camera_key == camera_key(Image.Exif(), frame.size)
