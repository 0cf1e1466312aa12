"""Save and load any dataclass of the scene in one HDF5 file, atomically.

One dataset a field: arrays as they are, nested dataclasses with arrays as groups, everything
else as a JSON text. No name holds a ``/``: file names are values, never keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import h5py
import numpy as np

from vggt_sfm._files import replacing
from vggt_sfm.io.plain import from_plain, to_plain, type_hints

T = TypeVar("T")

# LZF packs depth maps nearly as small as gzip does in half of its time; it does not notice damage
_PACKED = {"compression": "lzf", "shuffle": True, "fletcher32": True}


def save(path: Path, value: object, attributes: Mapping[str, str]) -> None:
    """Write a dataclass to a file that appears only when it is complete.

    Args:
        path: Where to; an existing file is replaced.
        value: The dataclass.
        attributes: Texts kept with it, such as the key of the stage that made it.

    Raises:
        OSError: If the file cannot be written.
    """
    # Put together in memory, because HDF5 itself crashes the process where a disk is full.
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        file.attrs.update(attributes)
        _write(file, value)
        file.flush()
        image = file.id.get_file_image()
    with replacing(path) as temporary:
        temporary.write_bytes(image)


def load(path: Path, kind: type[T]) -> T:
    """Read a dataclass that ``save`` wrote.

    Args:
        path: The file.
        kind: The dataclass.

    Returns:
        The value, its arrays read-only.

    Raises:
        ValueError: If the file is damaged or holds something else.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, kind)
    except (OSError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path}: cannot be read as {kind.__name__}: {error}") from error


def _write(group: h5py.Group, value: object) -> None:
    for field in fields(value):  # type: ignore[arg-type]
        item = getattr(value, field.name)
        if isinstance(item, np.ndarray):
            packed = _PACKED if item.ndim and item.size else {}
            group.create_dataset(field.name, data=item, **packed)
        elif is_dataclass(item) and _has_arrays(type(item)):
            _write(group.create_group(field.name), item)
        else:
            group[field.name] = json.dumps(to_plain(item))


def _read(group: h5py.Group, kind: type[T]) -> T:
    values: dict[str, Any] = {}
    for name, hint in type_hints(kind).items():
        node = group[name]
        if isinstance(node, h5py.Group):
            values[name] = _read(node, _dataclass_in(hint))
        elif node.shape == () and node.dtype.kind == "O":
            values[name] = from_plain(hint, json.loads(node.asstr()[()]), name)
        else:
            values[name] = node[...]
    return kind(**values)


def _has_arrays(kind: type) -> bool:
    return any(get_origin(hint) is np.ndarray for hint in type_hints(kind).values())


def _dataclass_in(hint: Any) -> type[Any]:  # Any: a type hint
    """Return the dataclass of a hint such as ``Matches | None``."""
    return next(
        kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and is_dataclass(kind)
    )
