"""Depth maps with their cameras, one file a photograph."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from vggt_sfm._checks import Float32, Float64
from vggt_sfm._files import replacing_folder
from vggt_sfm._log import Progress
from vggt_sfm.errors import InputError
from vggt_sfm.io.opened import OpenedModel


def export_depth_npz(opened: OpenedModel, folder: Path, progress: Progress) -> None:
    """Write ``NAME.npz`` for each photograph.

    Keys: ``depth`` and ``confidence`` (H, W) float32, 0 where unknown; ``intrinsics`` (3, 3) px of
    that size, corner origin; ``cam_from_world`` (3, 4) with OpenCV axes; ``unit`` and
    ``pixel_origin`` in words. Pixels are those of the photograph, with its distortion, which
    ``camera_model`` and ``camera_params`` describe as COLMAP does, in px of the photograph.

    Raises:
        InputError: If there is no depth.
    """
    for path, depth, confidence, camera, intrinsics, pose in _maps(opened, folder, progress):
        np.savez_compressed(
            path.with_name(path.name + ".npz"),
            depth=depth,
            confidence=confidence,
            intrinsics=intrinsics,
            cam_from_world=pose,
            camera_model=np.array(camera.model_name),
            camera_params=np.array(camera.params, np.float64),
            unit=np.array(opened.unit),
            pixel_origin=np.array("corner"),
        )


def export_depth_exr(opened: OpenedModel, folder: Path, progress: Progress) -> None:
    """Write ``NAME.exr`` for each photograph: channels ``Z`` and ``confidence``, 32-bit floats.

    Raises:
        InputError: If there is no depth.
    """
    import OpenEXR  # an extra, and what is not asked for needs not be there

    for path, depth, confidence, camera, intrinsics, pose in _maps(opened, folder, progress):
        header: dict[str, Any] = {
            "compression": OpenEXR.ZIP_COMPRESSION,
            "type": OpenEXR.scanlineimage,
            "unit": opened.unit,
            "pixel_origin": "corner",
            "intrinsics": " ".join(map(repr, intrinsics.ravel().tolist())),
            "cam_from_world": " ".join(map(repr, pose.ravel().tolist())),
            "camera": " ".join([camera.model_name, *map(repr, map(float, camera.params))]),
        }
        name = path.with_name(path.name + ".exr")
        with OpenEXR.File(header, {"Z": depth, "confidence": confidence}) as file:
            file.write(str(name))
        _check_written(name, depth, confidence)


def _check_written(path: Path, depth: Float32, confidence: Float32) -> None:
    """Read a file back, because OpenEXR cuts it off without a word where the disk is full."""
    import OpenEXR

    try:
        with OpenEXR.File(str(path)) as file:
            found = [file.channels()[name].pixels for name in ("Z", "confidence")]
    except (RuntimeError, OSError, ValueError) as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    if not all(map(np.array_equal, found, (depth, confidence))):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _maps(
    opened: OpenedModel, folder: Path, progress: Progress
) -> Iterator[tuple[Path, Float32, Float32, pycolmap.Camera, Float64, Float64]]:
    """Yield where each map goes, without suffix, depth, confidence, camera, its K, and pose."""
    images = [image for image in opened.images() if image.name in opened.depths]
    if not images:
        raise InputError("there is no predicted depth: only the output of a run has some")
    with replacing_folder(folder) as fresh, progress.task("depth", len(images)) as task:
        for image in images:
            depth, confidence = opened.depths[image.name].of_photo()
            camera = opened.model.cameras[image.camera_id]
            scale = np.array([depth.shape[1] / camera.width, depth.shape[0] / camera.height, 1.0])
            path = fresh / image.name
            path.parent.mkdir(parents=True, exist_ok=True)
            pose = image.cam_from_world().matrix()
            K = scale[:, None] * camera.calibration_matrix()
            yield path, depth, confidence, camera, K, pose
            task.advance()
