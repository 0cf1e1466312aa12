"""COLMAP's rig_config.json: which photographs the cameras of a rig took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pycolmap

from vggt_sfm.errors import InputError


def read_rigs(path: Path, names: Sequence[str]) -> list[pycolmap.RigConfig]:
    """Read a rig_config.json.

    Args:
        path: The file.
        names: Of the photographs.

    Raises:
        InputError: If it cannot be read, or has cameras of no photograph.
    """
    try:
        rigs = pycolmap.read_rig_config(path)
    except (ValueError, RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[-1:] or ["unreadable"]
        raise InputError(f"--rig {path}: not a COLMAP rig_config.json: {reason[0]}") from error
    unused = [p for p in prefixes_in(rigs) if not any(name.startswith(p) for name in names)]
    if unused:
        raise InputError(
            f"--rig {path}: the name of no photograph begins with {unused[0]}; the first is "
            f"{names[0]}"
        )
    return list(rigs)


def prefixes_in(rigs: Iterable[pycolmap.RigConfig]) -> list[str]:
    """Return how the names of each camera's photographs begin."""
    return [camera.image_prefix for rig in rigs for camera in rig.cameras]


def prefix_of(name: str, prefixes: Iterable[str]) -> str | None:
    """Return the longest prefix that a name begins with; None where there is none."""
    return max((p for p in prefixes if name.startswith(p)), key=len, default=None)
