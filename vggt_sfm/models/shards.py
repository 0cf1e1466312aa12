"""Which files a checkpoint consists of; nothing here reads tensors."""

from __future__ import annotations

import json
from pathlib import Path

from vggt_sfm.errors import WeightsError

INDEX_SUFFIX = ".safetensors.index.json"
_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_SHOWN = 5


def checkpoint_entry(path: Path) -> Path:
    """Return the one file, or the index of shards, that a user's path stands for.

    Args:
        path: A checkpoint, the index of a sharded one, or a folder that holds one of them.

    Raises:
        WeightsError: If it does not exist, or is a folder that does not hold just one checkpoint.
    """
    path = path.expanduser()
    if path.is_dir():
        return _only_checkpoint(path)
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such file or folder; give the path of a checkpoint, or --model NAME"
        )
    return path


def checkpoint_parts(entry: Path) -> tuple[Path, ...]:
    """Return the files with the tensors, sorted: the file itself, or the shards of an index.

    Raises:
        WeightsError: If the index cannot be read, or a shard is missing.
    """
    if entry.suffix != ".json":
        return (entry,)
    names = sorted(set(read_index(entry).values()))
    missing = [name for name in names if not (entry.parent / name).is_file()]
    if missing:
        raise WeightsError(
            f"{entry}: {len(missing)} of {len(names)} shards are missing, fetch them: "
            + ", ".join(missing[:_SHOWN])
        )
    return tuple(entry.parent / name for name in names)


def read_index(path: Path) -> dict[str, str]:
    """Return the shard that holds each tensor, by name; shards lie beside the index.

    Raises:
        WeightsError: If the file is no such index.
    """
    try:
        index = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: cannot be read as JSON: {error}") from error
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
        raise WeightsError(f"{path}: is no index of shards: it has no weight_map of file names")
    outside = sorted(name for name in set(places.values()) if not _is_plain(name))
    if outside:
        raise WeightsError(f"{path}: shards must lie beside it, not at {outside[0]!r}")
    return places


def _only_checkpoint(folder: Path) -> Path:
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise WeightsError(f"{folder}: cannot be read: {error.strerror}") from error
    indices = [name for name in names if name.endswith(INDEX_SUFFIX)]
    candidates = indices or [name for name in names if name.endswith(_SUFFIXES)]
    if len(candidates) != 1:
        found = ", ".join(candidates[:_SHOWN]) or "none"
        raise WeightsError(
            f"{folder}: a folder must hold one checkpoint, there are {len(candidates)} ({found}); "
            "give the path of the file"
        )
    return folder / candidates[0]


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & set("/\\:\0")
