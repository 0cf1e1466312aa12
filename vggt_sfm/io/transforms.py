"""``transforms.json`` of nerfstudio, instant-ngp and Blender's scripts, read as a model."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert, quat_xyzw_from_rotation
from vggt_sfm.io.sources import IMAGE_SUFFIXES
from vggt_sfm.io.transforms_lens import lens
from vggt_sfm.io.transforms_words import Words

TRANSFORMS = "transforms.json"
PHOTO_FOLDERS = ("images", "../images", "../../images")
"""Where photographs usually are, relative to the file of a model or its folder."""
GL_AXES = np.diag([1.0, -1.0, -1.0])
"""OpenGL's camera axes, y up and z back, in those of OpenCV, and the other way round."""
_ROUNDING = 1e-3  # of rotations, which some write with few digits
# Blender's scripts leave the suffix out, and mean this one.
_SUFFIXES = (".png", *sorted(IMAGE_SUFFIXES))


def read_transforms(path: Path) -> pycolmap.Reconstruction:
    """Read the cameras and the poses of ``transforms.json``; points are left out.

    ``transform_matrix`` is world_from_cam with OpenGL's camera axes. ``applied_transform`` and
    ``applied_scale``, which bring a world to that of the file, are undone. An entry of a frame
    holds before the same one at the top; frames whose intrinsics are all equal share a camera.

    An image is called as ``file_path``, relative to the file. A leading ``images/`` (also that of
    ``../images/``) is dropped where all frames have it, so that the names are those of a COLMAP
    model of that folder. A suffix that was left out is added if such a file exists.

    Args:
        path: The file, whatever it is called.

    Raises:
        InputError: If it cannot be read, or an entry is missing or wrong; the line names the frame
            and the key.

    Source: nerfstudio's documentation, "Data conventions" and "Custom Dataset".
    """
    told = _read(path)
    frames = told.get("frames")
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{path}: frames is no list of frames, or an empty one")
    files = [_file_of(frame, f"{path}, frame {n}", path) for n, frame in enumerate(frames, 1)]
    words = [
        Words(f"{path}, frame {n} ({file})", frame, told)
        for n, (file, frame) in enumerate(zip(files, frames, strict=True), 1)
    ]
    poses = [each.motion("transform_matrix") for each in words]
    for each, (scale, _) in zip(words, poses, strict=True):
        if abs(scale - 1) > _ROUNDING:
            raise InputError(
                f"{each.where}: transform_matrix holds no rotation: it scales by {scale:g}"
            )
    world_from_cam = _unapplied(np.stack([pose for _, pose in poses]), Words(str(path), {}, told))
    names = _without_folder(files)
    lenses = [lens(each, path.parent / file) for each, file in zip(words, files, strict=True)]
    return _model(names, lenses, invert(world_from_cam), path)


def _read(path: Path) -> Mapping[str, Any]:  # Any: JSON
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: no readable JSON: {error}") from error
    if not isinstance(told, dict):
        raise InputError(f"{path}: not a transforms.json: holds no table")
    return told


def _file_of(frame: object, where: str, path: Path) -> str:
    """Return the photograph of a frame relative to the file, with its suffix."""
    if not isinstance(frame, dict):
        raise InputError(f"{where}: is no table")
    text = frame.get("file_path")
    if not isinstance(text, str) or not text or any(map(_in_no_name, text)):
        raise InputError(f"{where}: file_path is missing, or no name of a file")
    file = posixpath.normpath(text.replace("\\", "/"))
    folder = path.parent.absolute()
    if Path(file).is_relative_to(folder):
        file = Path(file).relative_to(folder).as_posix()
    if Path(file).suffix.lower() in IMAGE_SUFFIXES or (folder / file).is_file():
        return file
    both_cases = [case for suffix in _SUFFIXES for case in (suffix, suffix.upper())]
    there = (file + suffix for suffix in both_cases if (folder / (file + suffix)).is_file())
    return next(there, file)


def _in_no_name(letter: str) -> bool:
    """Tell control characters, and halves of surrogate pairs, which JSON can hold."""
    return letter < " " or "\ud800" <= letter <= "\udfff"


def _without_folder(files: Sequence[str]) -> list[str]:
    for folder in PHOTO_FOLDERS:
        if all(file.startswith(f"{folder}/") for file in files):
            return [file.removeprefix(f"{folder}/") for file in files]
    return list(files)


def _unapplied(world_from_cam: Float64, words: Words) -> Float64:
    """Bring (N, 3, 4) poses back to the world that the file's own was made from."""
    centers = world_from_cam[:, :, 3] / words.positive("applied_scale", 1.0)
    rotations = world_from_cam[:, :, :3]
    if words.has("applied_transform"):
        scale, applied = words.motion("applied_transform")
        centers = (centers - applied[:, 3]) @ applied[:, :3] / scale
        rotations = applied[:, :3].T @ rotations
    return np.concatenate([rotations @ GL_AXES, centers[:, :, None]], axis=2)


def _model(
    names: Sequence[str], lenses: Sequence[pycolmap.Camera], cam_from_world: Float64, path: Path
) -> pycolmap.Reconstruction:
    model = pycolmap.Reconstruction()
    ids: dict[tuple[object, ...], int] = {}
    number_of: dict[str, int] = {}
    quats = quat_xyzw_from_rotation(cam_from_world[:, :, :3])
    for n, (name, camera) in enumerate(zip(names, lenses, strict=True), 1):
        if name in number_of:
            raise InputError(f"{path}, frame {n} ({name}): file_path is that of {number_of[name]}")
        number_of[name] = n
        key = (camera.model_name, camera.width, camera.height, *camera.params)
        if key not in ids:
            ids[key] = camera.camera_id = len(ids) + 1
            model.add_camera_with_trivial_rig(camera)
        rotation = pycolmap.Rotation3d(quats[n - 1])
        pose = pycolmap.Rigid3d(rotation, cam_from_world[n - 1, :, 3])
        image = pycolmap.Image(name=name, camera_id=ids[key], image_id=n)
        model.add_image_with_trivial_frame(image, pose)
    return model
