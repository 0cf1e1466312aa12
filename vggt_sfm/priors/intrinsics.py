"""Known intrinsics, from numbers or from another model."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from vggt_sfm._log import get_logger
from vggt_sfm.ba.config import CameraModel
from vggt_sfm.ba.knowledge import KnownCamera
from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import read_sparse
from vggt_sfm.io.models import read_model
from vggt_sfm.io.named_files import same_photos
from vggt_sfm.priors.config import PriorConfig
from vggt_sfm.scene import Frame, Size

_logger = get_logger(__name__)

# Photographs that were reduced have sides that are rounded to whole pixels.
_SAME_ASPECT = 0.01


def known_cameras(
    config: PriorConfig, model: CameraModel, frames: Sequence[Frame]
) -> tuple[KnownCamera, ...]:
    """Return what ``config.intrinsics`` says of the photographs' cameras.

    Args:
        config: Where intrinsics are known from, and how firmly.
        model: COLMAP camera model that plain numbers are of.
        frames: The photographs.

    Raises:
        InputError: If the numbers or the file do not fit.
    """
    said = config.intrinsics
    if said is None:
        return ()
    is_file = Path(said).exists()
    try:
        found = _of_file(Path(said), frames) if is_file else _of_numbers(said, model, frames)
    except InputError as error:
        raise InputError(f"--intrinsics {error}") from error
    # Photographs share a camera where the file says so; numbers say what cameras are like, not
    # how many there are.
    groups: dict[tuple[str, tuple[float, ...], Size, int | str], list[str]] = {}
    for frame in frames:
        if frame.name in found:
            camera = found[frame.name]
            shared = camera.camera_id if is_file else frame.camera_key or frame.name
            key = (camera.model.name, tuple(map(float, camera.params)), frame.size, shared)
            groups.setdefault(key, []).append(frame.name)
    return tuple(
        KnownCamera(
            model=name,
            params=params,
            sigma=_sigma(name, params, config.intrinsics_sigma),
            names=tuple(names),
        )
        for (name, params, _, _), names in groups.items()
    )


def _of_numbers(
    said: str, model: CameraModel, frames: Sequence[Frame]
) -> dict[str, pycolmap.Camera]:
    """Read numbers, which hold for all photographs."""
    sizes = sorted({frame.size for frame in frames})
    camera = pycolmap.Camera.create_from_model_name(0, model, 1.0, *sizes[0])
    try:
        params = [float(word) for word in said.split(",")]
    except ValueError:
        params = []
    if len(params) == len(camera.params):
        camera.params = params
    if len(params) != len(camera.params) or not _is_possible(camera):
        raise InputError(
            f"{said}: neither a file nor {len(camera.params)} numbers "
            f"{camera.params_info.replace(' ', '')}, as {model} has; --camera-model names others"
        )
    if len(sizes) > 1:
        raise InputError(
            f"{said}: numbers hold for photographs of one size, and these are of {len(sizes)}, "
            f"such as {' and '.join(f'{w} x {h}' for w, h in sizes[:2])}; give a COLMAP model"
        )
    return {frame.name: camera for frame in frames}


def _is_possible(camera: pycolmap.Camera) -> bool:
    focal = [camera.params[k] for k in camera.focal_length_idxs()]  # none: a panorama's
    return bool(np.isfinite(camera.params).all() and min(focal, default=0) > 0)


def _of_file(path: Path, frames: Sequence[Frame]) -> dict[str, pycolmap.Camera]:
    by_name = _by_photo(_cameras_in(path), frames, path)
    return {f.name: _fitted(by_name[f.name], f, path) for f in frames if f.name in by_name}


def _cameras_in(path: Path) -> dict[str, pycolmap.Camera]:
    """Return cameras by image name; by an empty name where there is no image."""
    model = _without_images(path) if path.suffix == ".txt" else read_model(path)
    if model.num_images():
        return {image.name: model.cameras[image.camera_id] for image in model.images.values()}
    if len(model.cameras) != 1:
        raise InputError(f"{path}: {len(model.cameras)} cameras and no image says whose they are")
    return {"": next(iter(model.cameras.values()))}


def _without_images(path: Path) -> pycolmap.Reconstruction:
    """Read a cameras.txt, which COLMAP reads only as a part of a model."""
    with tempfile.TemporaryDirectory() as scratch:
        for other in ("images.txt", "points3D.txt"):
            (Path(scratch) / other).touch()
        try:
            shutil.copyfile(path, Path(scratch) / "cameras.txt")
            return read_sparse(Path(scratch))
        except (OSError, InputError) as error:
            raise InputError(f"{path}: not a readable cameras.txt of COLMAP") from error


def _by_photo(
    cameras: dict[str, pycolmap.Camera], frames: Sequence[Frame], path: Path
) -> dict[str, pycolmap.Camera]:
    only = list({camera.camera_id: camera for camera in cameras.values()}.values())
    same = same_photos([frame.name for frame in frames], cameras)
    if not same and len(only) == 1:  # a calibration with photographs of its own
        return {frame.name: only[0] for frame in frames}
    if not same:
        raise InputError(
            f"{path}: none of its {len(cameras)} images is one of the photographs, "
            f"such as {frames[0].name}, and it has {len(only)} cameras"
        )
    if len(same) < len(frames):
        _logger.warning("--intrinsics %s: of %d of %d photographs", path, len(same), len(frames))
    return {name: cameras[other] for name, other in same.items()}


def _fitted(camera: pycolmap.Camera, frame: Frame, path: Path) -> pycolmap.Camera:
    """Return a camera for the photograph's size, if it may be of the same photograph."""
    if not _is_possible(camera):
        raise InputError(
            f"{path}: the camera of {frame.name} is {camera.model.name} with "
            f"{', '.join(f'{value:g}' for value in camera.params)}, which no photograph has"
        )
    if (camera.width, camera.height) == frame.size or 0 in (camera.width, camera.height):
        return camera  # without a size, it is taken to be that of the photographs
    across, down = frame.size.width / camera.width, frame.size.height / camera.height
    if abs(across / down - 1) > _SAME_ASPECT:
        raise InputError(
            f"{path}: of {camera.width} x {camera.height} px, while {frame.name} has "
            f"{frame.size.width} x {frame.size.height}"
        )
    scaled = pycolmap.Camera(camera.todict())
    scaled.rescale(frame.size.width, frame.size.height)
    return scaled


def _sigma(model: str, params: tuple[float, ...], share: float) -> tuple[float, ...]:
    camera = pycolmap.Camera.create_from_model_name(0, model, 1.0, 0, 0)
    extra = set(camera.extra_params_idxs())
    focal = max(params[k] for k in camera.focal_length_idxs())
    return tuple(share if k in extra else share * focal for k in range(len(params)))
