"""Which photographs may have been taken with one camera, where their files do not tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from vggt_sfm.io.exif import camera_key
from vggt_sfm.scene import Frame


def separate_unknown_cameras(frames: Sequence[Frame]) -> list[Frame]:
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


def separate_folders(frames: Sequence[Frame]) -> list[Frame]:
    """Give the photographs of each folder cameras of their own, where there are several folders.

    Within a folder, ``separate_unknown_cameras`` decides.
    """
    folders: dict[str, list[Frame]] = {}
    for frame in frames:
        folders.setdefault(_folder(frame), []).append(frame)
    if len(folders) < 2:
        return separate_unknown_cameras(frames)
    keys = {
        frame.name: f"{frame.camera_key} in {folder}"
        for folder, members in folders.items()
        for frame in separate_unknown_cameras(members)
    }
    return [replace(frame, camera_key=keys[frame.name]) for frame in frames]


def _folder(frame: Frame) -> str:
    return frame.name.rpartition("/")[0]


def _camera_is_unknown(frame: Frame) -> bool:
    return frame.camera_key == camera_key(Image.Exif(), frame.size)
