"""Projects for COLMAP, and for trainers that read COLMAP's folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from vggt_sfm._checks import UInt8
from vggt_sfm._files import replacing_folder
from vggt_sfm._log import Progress
from vggt_sfm.errors import InputError
from vggt_sfm.export.photo_folders import (
    IMAGES,
    MASKS,
    exported_frames,
    have_masks,
    mask_name,
    write_masks,
    write_photos,
)
from vggt_sfm.export.undistorted import Undistorter, undistorted
from vggt_sfm.io.colmap import check_complete, write_sparse
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.io.photos import (
    copy_photo,
    exported_name,
    mask_or_all,
    read_photo,
    save_mask,
    save_photo,
)
from vggt_sfm.scene import Frame

_SPARSE = "sparse/0"


def export_colmap(opened: OpenedModel, folder: Path, progress: Progress) -> None:
    """Write a project that COLMAP opens as it is: ``images``, ``masks`` and ``sparse/0``.

    Raises:
        InputError: If no photograph is found.
    """
    frames = exported_frames(opened)
    with replacing_folder(folder) as fresh:
        write_photos(fresh / IMAGES, frames, progress)
        if have_masks(frames):
            write_masks(fresh / MASKS, frames, progress)
        write_sparse(fresh / _SPARSE, _renamed(opened.model))


def export_colmap_text(opened: OpenedModel, folder: Path, progress: Progress) -> None:
    """Write the model as COLMAP's text files.

    Raises:
        OSError: If the disk did not take all of it.
    """
    with replacing_folder(folder) as fresh, progress.task("text", None):
        opened.model.write_text(fresh)
        check_complete(fresh, opened.model)


def export_gsplat(
    opened: OpenedModel, folder: Path, factors: Sequence[int], progress: Progress
) -> None:
    """Write what trainers of splats read: undistorted photographs and pinhole cameras.

    ``images`` holds the photographs that have a pose and no other file, because gsplat pairs
    folders by sorted order. A pixel of ``images_n`` is the mean of n x n pixels, and what is left
    at the right and lower edge is cut off, so that intrinsics divided by n are exact.

    Args:
        opened: The model.
        folder: Folder to make or replace.
        factors: The n of ``images_n``.
        progress: Counts photographs.

    Raises:
        InputError: If no photograph is found, or a factor leaves nothing of one.
    """
    frames = exported_frames(opened)
    model, undistorter = undistorted(opened)
    for camera in undistorter.pinholes.values():
        if factors and max(factors) > min(camera.width, camera.height):
            raise InputError(
                f"--image-factors {max(factors)} leaves nothing of photographs of {camera.width} x "
                f"{camera.height} px"
            )
    cameras = {image.name: image.camera_id for image in opened.images()}
    with replacing_folder(folder) as fresh, progress.task("undistort", len(frames)) as task:
        for frame in frames:
            _write_pinhole_photo(fresh, frame, cameras[frame.name], undistorter, factors)
            task.advance()
        if have_masks(frames):
            for frame in frames:
                usable = undistorter.mask(mask_or_all(frame), cameras[frame.name])
                save_mask(usable, fresh / MASKS / mask_name(frame))
        write_sparse(fresh / _SPARSE, model)


def reduced(pixels: UInt8, factor: int) -> UInt8:
    """Average blocks of ``factor`` x ``factor`` px of an (H, W, 3) image, without the rest."""
    height, width = (length // factor for length in pixels.shape[:2])
    cut = pixels[: height * factor, : width * factor].astype(np.float32)
    blocks = cut.reshape(height, factor, width, factor, 3).mean(axis=(1, 3))
    return np.asarray(np.floor(blocks + 0.5), np.uint8)


def _write_pinhole_photo(
    folder: Path, frame: Frame, camera_id: int, undistorter: Undistorter, factors: Sequence[int]
) -> None:
    name = exported_name(frame.name)
    changes = undistorter.changes(camera_id)
    if not changes:
        copy_photo(frame, folder / IMAGES / name)
    if changes or factors:
        pixels = undistorter.photo(read_photo(frame), camera_id)
        if changes:
            save_photo(pixels, folder / IMAGES / name)
        for factor in factors:
            save_photo(reduced(pixels, factor), folder / f"{IMAGES}_{factor}" / name)


def _renamed(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """Return the model with the names of exported photographs."""
    if all(exported_name(image.name) == image.name for image in model.images.values()):
        return model
    renamed = pycolmap.Reconstruction(model)
    for image in renamed.images.values():
        image.name = exported_name(image.name)
    return renamed
