"""Arrays on disk."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from vggt_sfm._files import replacing
from vggt_sfm.errors import InputError


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays as .npz, atomically."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        # numpy's own signature takes an option for one more array
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_arrays(path: Path, names: Iterable[str], what: str) -> dict[str, np.ndarray]:
    """Read some arrays of an .npz file.

    Args:
        path: The file.
        names: Of the arrays.
        what: That the file should be, for the error.

    Raises:
        InputError: If it is missing or damaged, or has no such arrays.
    """
    try:
        with path.open("rb") as file, np.load(file) as data:
            return {name: data[name] for name in names}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as {what}: {error}") from error
