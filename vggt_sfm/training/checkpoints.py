"""Training checkpoints: folders of small files, each complete or not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vggt_sfm._files import file_sha256
from vggt_sfm._log import get_logger
from vggt_sfm.errors import WeightsError

FILE_LIMIT = 16_000_000
_PART_BYTES = FILE_LIMIT - 1_000_000  # leaves room for the names in a file's header
_KEPT = 2
_INDEX = "index.json"
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a run needs to go on as if it had not stopped."""

    tensors: dict[str, Tensor]
    numbers: dict[str, float]
    """``step`` is the next one to do."""


def save_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write a snapshot to ``folder/step-N``, and keep the one before it, but no others.

    Args:
        folder: The run's folder.
        snapshot: What to write; its files are at most ``FILE_LIMIT`` bytes long.

    Raises:
        OSError: If it could not be written; what was there before is still there.
    """
    step = int(snapshot.numbers["step"])
    target = folder / f"step-{step:08d}"
    scratch = folder / f".{target.name}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    index = {
        "numbers": snapshot.numbers,
        "shapes": {name: list(tensor.shape) for name, tensor in snapshot.tensors.items()},
        "files": _write_parts(scratch, snapshot.tensors),
    }
    (scratch / _INDEX).write_text(json.dumps(index) + "\n", encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)  # a damaged one, if any
    scratch.rename(target)
    kept = [entry for entry in _entries(folder) if entry.name <= target.name][-_KEPT:]
    for entry in _entries(folder):
        if entry not in kept:
            shutil.rmtree(entry)


def load_snapshot(folder: Path) -> Snapshot | None:
    """Read the newest snapshot that is whole; None if the run has none yet.

    Raises:
        WeightsError: If there are some and none is whole; it names the file.
    """
    if folder.exists() and not folder.is_dir():
        raise WeightsError(f"{folder}: is a file; checkpoints are kept in a folder")
    first: WeightsError | None = None
    for entry in reversed(_entries(folder)):
        try:
            return _read(entry)
        except WeightsError as error:
            _log.warning("%s; looking for the checkpoint before", error)
            first = first or error
    if first:
        raise first
    return None


def load_weights(folder: Path) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Return a run's weights, averaged where they are, and its numbers.

    Raises:
        WeightsError: If there is no checkpoint that can be read.
    """
    snapshot = load_snapshot(folder)
    if snapshot is None:
        raise WeightsError(f"{folder}: holds no checkpoint")
    return {
        **named(snapshot.tensors, "model"),
        **named(snapshot.tensors, "average"),
    }, snapshot.numbers


def named(tensors: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Return the tensors of one kind by the rest of their names."""
    prefix = f"{kind}."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _write_parts(folder: Path, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Write tensors in slices and return the files' hashes."""
    hashes = {}
    for number, part in enumerate(_parts(tensors)):
        path = folder / f"part-{number:04d}.safetensors"
        save_file(part, path)
        hashes[path.name] = file_sha256(path)
    return hashes


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yield what goes into each file: flat slices, called after their tensor and number."""
    part: dict[str, Tensor] = {}
    filled = 0
    for name, tensor in tensors.items():
        slices = torch.split(tensor.detach().reshape(-1), _PART_BYTES // tensor.element_size())
        for number, piece in enumerate(slices):
            if filled + piece.nbytes > _PART_BYTES:
                yield part
                part, filled = {}, 0
            part[f"{name}#{number}"] = piece.cpu().clone()
            filled += piece.nbytes
    yield part


def _read(entry: Path) -> Snapshot:
    index = _read_index(entry / _INDEX)
    slices: dict[str, Tensor] = {}
    for name, expected in index["files"].items():
        slices.update(_read_part(entry / name, expected))
    grouped: dict[str, list[Tensor]] = {}
    for key in sorted(slices, key=lambda key: int(key.rpartition("#")[2])):
        grouped.setdefault(key.rpartition("#")[0], []).append(slices.pop(key))
    tensors = {
        name: torch.cat(grouped.pop(name)).reshape(shape) for name, shape in index["shapes"].items()
    }
    return Snapshot(tensors=tensors, numbers=index["numbers"])


def _read_index(path: Path) -> dict[str, dict[str, Any]]:
    try:
        index = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read, the checkpoint is damaged") from error
    if not isinstance(index, dict) or {"numbers", "shapes", "files"} - set(index):
        raise WeightsError(f"{path}: is no index of a checkpoint")
    return index


def _read_part(path: Path, expected_sha256: str) -> dict[str, Tensor]:
    try:
        if file_sha256(path) != expected_sha256:
            raise WeightsError(f"{path}: is damaged or half-written")
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read, the checkpoint is damaged") from error
