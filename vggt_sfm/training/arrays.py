"""Arrays on disk."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vggt_sfm._files import replacing
from vggt_sfm._log import get_logger
from vggt_sfm.errors import InputError

_log = get_logger(__name__)
Read = TypeVar("Read")


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


def save_record(path: Path, record: Any) -> None:
    """Write a dataclass of arrays as .npz, atomically."""
    save_arrays(path, **{f.name: getattr(record, f.name) for f in fields(record)})


def load_record(path: Path, kind: type[Read], what: str) -> Read:
    """Read a dataclass of arrays that :func:`save_record` wrote; errors as in `load_arrays`."""
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    return kind(**load_arrays(path, names, what))


def readable(paths: list[Path], load: Callable[[Path], Read], hint: str = "") -> list[Read]:
    """Read what can be read; the rest is skipped with a warning.

    Args:
        paths: Files of one folder, one or more.
        load: Reads one, or raises an InputError.
        hint: What to do where nothing can be read, for the error.

    Raises:
        InputError: If none can be read.
    """
    loaded = []
    for path in paths:
        try:
            loaded.append(load(path))
        except InputError as error:
            _log.warning("%s", error)
    if not loaded:
        raise InputError(f"{paths[0].parent}: none of its {len(paths)} shards can be read{hint}")
    return loaded
