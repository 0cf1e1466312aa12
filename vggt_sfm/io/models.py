"""Models on disk, in whatever form they come."""

from __future__ import annotations

from pathlib import Path

import pycolmap

from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import find_sparse, read_sparse
from vggt_sfm.io.transforms import TRANSFORMS, read_transforms


def find_model(path: Path) -> Path:
    """Return the folder of a COLMAP model, or the ``transforms.json``, that a path is or holds.

    A file is taken as what it is named for; in a folder, a COLMAP model comes first.

    Raises:
        InputError: If there is neither.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: no such folder or file")
    try:
        return find_sparse(path)
    except InputError as error:
        if (path / TRANSFORMS).is_file():
            return path / TRANSFORMS
        raise InputError(f"{error}, and for {TRANSFORMS}") from error


def read_model(path: Path) -> pycolmap.Reconstruction:
    """Read a model.

    Args:
        path: The output of a run; a folder that is or holds a COLMAP model; a ``transforms.json``,
            or a folder with one.

    Raises:
        InputError: If there is none, or it cannot be read.
    """
    found = find_model(path)
    return read_transforms(found) if found.is_file() else read_sparse(found)
