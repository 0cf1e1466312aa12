"""The only reader and writer of COLMAP models."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm.errors import InputError

_MODEL_FILES = tuple(
    f"{name}{suffix}"
    for name in ("cameras", "images", "points3D", "rigs", "frames")
    for suffix in (".bin", ".txt")
)


def write_sparse(folder: Path, reconstruction: pycolmap.Reconstruction) -> None:
    """Write a binary COLMAP model; equal models give equal bytes.

    The model is written beside the folder and moved into place whole, so that a killed run leaves
    the old model, the new one or none, but never a mixture. Files that are not part of a model
    stay in the folder.

    Args:
        folder: Model folder, such as ``sparse/0``; made or replaced.
        reconstruction: What to write, unchanged.

    Raises:
        OSError: If the disk did not take all of it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f".{folder.name}.part")
    fresh, old = scratch / "new", scratch / "old"
    if old.is_dir() and not folder.exists():
        old.rename(folder)  # an earlier run was killed between the two renames below
    shutil.rmtree(scratch, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        reconstruction.write_binary(fresh)
        check_complete(fresh, reconstruction)
        if folder.is_dir():
            folder.rename(old)
        fresh.rename(folder)
        for other in sorted(old.glob("*")):
            if other.name not in _MODEL_FILES:
                other.rename(folder / other.name)
    finally:
        if old.is_dir() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(scratch)


def check_complete(folder: Path, expected: pycolmap.Reconstruction) -> None:
    """Read a model back, because pycolmap cuts files off without a word where the disk is full.

    Raises:
        OSError: If not all of it is there.
    """
    try:
        written = pycolmap.Reconstruction(folder)
    except (ValueError, RuntimeError, IndexError) as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
    whole = all(path.read_bytes().endswith(b"\n") for path in folder.glob("*.txt"))
    if not whole or _extent(written) != _extent(expected):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _extent(model: pycolmap.Reconstruction) -> tuple[int, ...]:
    return (
        model.num_cameras(),
        model.num_reg_frames(),  # no others are ever written
        model.num_reg_images(),
        model.num_points3D(),
        model.compute_num_observations(),
    )


def find_sparse(folder: Path) -> Path:
    """Return the model folder that a folder is or holds.

    Raises:
        InputError: If there is none.
    """
    for candidate in (folder, folder / "sparse/0", folder / "sparse", folder / "0"):
        if any((candidate / f"images{suffix}").is_file() for suffix in (".bin", ".txt")):
            return candidate
    raise InputError(
        f"{folder}: no COLMAP model there, nor in its sparse/0, sparse or 0: looked for images.bin "
        "and images.txt"
    )


def read_sparse(folder: Path) -> pycolmap.Reconstruction:
    """Read a COLMAP model, binary or text.

    Raises:
        InputError: If the folder holds no readable model.
    """
    try:
        return pycolmap.Reconstruction(folder)
    except (ValueError, RuntimeError, IndexError, MemoryError) as error:
        raise InputError(f"{folder} holds no readable COLMAP model: {error}") from error


def poses_by_name(model: pycolmap.Reconstruction) -> dict[str, Float64]:
    """Return the (3, 4) cam_from_world of every registered image."""
    return {im.name: im.cam_from_world().matrix() for im in model.images.values() if im.has_pose}
