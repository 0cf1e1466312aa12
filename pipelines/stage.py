"""Stages, the keys that stand for their results, and the folder that keeps those results."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from vggt_sfm._files import replacing
from vggt_sfm._log import get_logger
from vggt_sfm.errors import ReconstructionError
from vggt_sfm.io import hdf5
from vggt_sfm.io.plain import from_plain, to_plain

T = TypeVar("T")
_logger = get_logger(__name__)

_KEY_DIGITS_IN_NAMES = 12


class Store(Protocol[T]):
    """How the result of a stage lies on disk."""

    @property
    def suffix(self) -> str:
        """What the names of kept results end in."""

    def save(self, path: Path, value: T, attributes: Mapping[str, str]) -> None:
        """Write a result so that ``path`` exists only when it is complete."""

    def load(self, path: Path) -> T:
        """Read a result back; ValueError if it is damaged."""


@dataclass(frozen=True, slots=True)
class Hdf5Store(Generic[T]):
    """A dataclass of the scene as one HDF5 file."""

    kind: type[T]
    suffix: str = ".h5"

    def save(self, path: Path, value: T, attributes: Mapping[str, str]) -> None:
        """Write the dataclass."""
        hdf5.save(path, value, attributes)

    def load(self, path: Path) -> T:
        """Read the dataclass back."""
        return hdf5.load(path, self.kind)


@dataclass(frozen=True, slots=True)
class JsonStore(Generic[T]):
    """A dataclass of plain values as one JSON file."""

    kind: type[T]
    suffix: str = ".json"

    def save(self, path: Path, value: T, attributes: Mapping[str, str]) -> None:
        """Write the dataclass."""
        text = json.dumps({"value": to_plain(value), "attributes": dict(attributes)})
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def load(self, path: Path) -> T:
        """Read the dataclass back."""
        try:
            return from_plain(self.kind, json.loads(path.read_text(encoding="utf-8"))["value"])
        except (OSError, KeyError, TypeError) as error:
            raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Generic[T]):
    """A pure function of a config and of earlier results, with a name and a version.

    ``run`` is called as ``run(config, **inputs, progress=progress)``. Raise ``version`` when the
    meaning of the result changes: results of other versions are then not found any more.
    """

    number: int
    name: str
    version: int
    run: Callable[..., T]
    store: Store[T] | None
    """How to keep the result; None where it is cheaper to make it again."""


@dataclass(frozen=True, slots=True, eq=False)
class Artifact(Generic[T]):
    """A value, and the key that stands for its content."""

    key: str
    value: T


def fingerprint(value: object) -> str:
    """Return the sha256 of a value's plain form as sorted JSON."""
    text = json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder with the results of a run's stages, found by key."""

    folder: Path

    def path(self, stage: Stage[Any], key: str) -> Path:  # Any: the result's type is irrelevant
        """Return where the result with this key lies, or would."""
        suffix = stage.store.suffix if stage.store else ""
        name = f"{stage.number:02}_{stage.name}-{key[:_KEY_DIGITS_IN_NAMES]}{suffix}"
        return self.folder / name

    def load(self, stage: Stage[T], key: str) -> T | None:
        """Return the kept result, or None if there is none that can be read."""
        path = self.path(stage, key)
        if stage.store is None or not path.exists():
            return None
        try:
            return stage.store.load(path)
        except ValueError as error:
            _logger.warning("%s is damaged and made again: %s", path.name, error)
            return None

    def save(self, stage: Stage[T], key: str, value: T, config: object) -> None:
        """Keep a result.

        Raises:
            ReconstructionError: If it cannot be written, for instance to a full disk.
        """
        if stage.store is None:
            return
        path = self.path(stage, key)
        attributes = {
            "stage": stage.name,
            "version": str(stage.version),
            "key": key,
            "config_json": json.dumps(to_plain(config)),
            "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            **versions(),
        }
        with writing(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            stage.store.save(path, value, attributes)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says against writing ``path`` into an error for the user.

    Raises:
        ReconstructionError: In place of an OSError within the ``with`` block.
    """
    try:
        yield
    except OSError as error:
        raise ReconstructionError(f"cannot write {path}: {error.strerror or error}") from error


def versions() -> dict[str, str]:
    """Return the versions of this package and of those that decide its results."""
    names = ("vggt-sfm", "torch", "pycolmap", "pyceres")
    return {name: importlib.metadata.version(name) for name in names}
