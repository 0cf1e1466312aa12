"""Keys of what users give to a run: they change with the content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vggt_sfm.errors import InputError
from vggt_sfm.io.images import ImageFile, file_sha256
from vggt_sfm.models.choice import PredictConfig
from vggt_sfm.pipelines.stage import fingerprint
from vggt_sfm.tracking.database_file import database_files


def content_key(files: list[ImageFile]) -> str:
    """Return a key that changes with any name, place or byte of the images."""
    return fingerprint([(file.name, str(file.path), _sha256(file)) for file in files])


def mask_key(masks: Mapping[str, Path]) -> str:
    """Return a key that changes with any place or byte of the masks.

    Raises:
        InputError: If one cannot be read.
    """
    return fingerprint({name: (path, file_sha256(path)) for name, path in masks.items()})


def file_key(path: Path | None) -> str:
    """Return a key that changes with the content of a file, wherever it lies.

    Raises:
        InputError: If it cannot be read.
    """
    return "" if path is None else file_sha256(path)


def database_key(path: Path | None) -> str:
    """Return a key that changes with the content of a database, wherever it lies.

    Raises:
        InputError: If it cannot be read.
    """
    return "" if path is None else fingerprint([file_sha256(f) for f in database_files(path)])


def how_to_predict(config: PredictConfig) -> PredictConfig:
    """Leave out where the weights come from: their content is part of the key already."""
    return replace(config, weights=None, model=None, offline=False, commercial_only=False)


def _sha256(file: ImageFile) -> str:
    try:
        return file_sha256(file.path)
    except InputError:
        return "unreadable"  # left out later, with the reason
