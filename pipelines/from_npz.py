"""Predictions that the user brings, in place of a network's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vggt_sfm.errors import InputError
from vggt_sfm.inference.given import GivenPredictor
from vggt_sfm.io.given import read_given
from vggt_sfm.io.images import ImageFile
from vggt_sfm.io.named_files import files_by_names
from vggt_sfm.scene import SkippedFile


class TakenPredictions(NamedTuple):
    """A file's predictions and the photographs they are of."""

    predictor: GivenPredictor
    files: list[ImageFile]
    """In the order they had."""
    left_out: tuple[SkippedFile, ...]
    """Photographs that the file does not name."""


def take_predictions(path: Path, files: Sequence[ImageFile]) -> TakenPredictions:
    """Read predictions and choose the photographs that they are of.

    Args:
        path: The npz file; see ``read_given``.
        files: All photographs that were found.

    Raises:
        InputError: If it cannot be used, or names photographs that are not there.
    """
    given = read_given(path)
    try:
        named = files_by_names(given.names, files)
    except InputError as error:
        raise InputError(f"{path}: names: {error}") from error
    row_of = {file.name: row for row, file in enumerate(named)}
    reason = f"{path.name} does not name it"
    return TakenPredictions(
        predictor=GivenPredictor(given, row_of),
        files=[file for file in files if file.name in row_of],
        left_out=tuple(
            SkippedFile(name=file.name, reason=reason) for file in files if file.name not in row_of
        ),
    )
