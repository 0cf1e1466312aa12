"""``results.jsonl``: a line for each bag and mode, written as soon as it is known."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.scores import Errors, scores_of
from vggt_sfm.errors import InputError
from vggt_sfm.io.plain import from_plain, to_plain
from vggt_sfm.pipelines.stage import writing

Degrees = tuple[float | None, ...]
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One bag in one mode."""

    scene: str
    mode: str
    status: Literal["done", "failed"]
    reason: str | None = None
    """Why it failed."""
    images: int
    registered: int = 0
    auc_exact: dict[str, float] | None = None
    auc_exact_folded: dict[str, float] | None = None
    auc_histogram: dict[str, float] | None = None
    rra: dict[str, float] | None = None
    rta: dict[str, float] | None = None
    """Percent by degrees; see ``Scores``. None without ground truth."""
    seconds: float | None = None
    """Wall, as if no earlier mode of the bag had done a part of it."""
    spent_seconds: float = 0.0
    """Wall, of this mode's own work."""
    steps: dict[str, float] = field(default_factory=dict)
    peak_memory_mb: float | None = None
    gpu_peak_mb: float | None = None
    remark: str = ""
    rotation_deg: Degrees | None = None
    """Of all pairs, image 0 with 1, 2, …, then 1 with 2, …; None: a camera is missing."""
    translation_deg: Degrees | None = None

    @property
    def errors(self) -> Errors | None:
        """Errors of the pairs; None without ground truth."""
        if self.rotation_deg is None or self.translation_deg is None:
            return None
        rotation, translation = map(_array, (self.rotation_deg, self.translation_deg))
        return Errors(rotation=rotation, translation=translation)


def scored(errors: Errors) -> dict[str, Any]:  # Any: fields of every type
    """Return the fields of a row that errors of its pairs fill."""
    return {
        **to_plain(scores_of(errors)),
        "rotation_deg": _kept(errors.rotation),
        "translation_deg": _kept(errors.translation),
    }


def _kept(errors: Float64) -> Degrees:
    return tuple(round(float(e), _DIGITS) if np.isfinite(e) else None for e in errors)


def _array(kept: Degrees) -> Float64:
    return np.array([np.inf if error is None else error for error in kept], np.float64)


def read_rows(path: Path) -> list[Row]:
    """Read results; what a killed run left of its last line is no result.

    Raises:
        InputError: If a line is not a result.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(from_plain(Row, json.loads(line)))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}, line {number}: not a result: {error}") from error
    return rows


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Replace a file by these results."""
    with writing(path), path.open("wb") as stream:
        stream.writelines(_line(row) for row in rows)


def append_row(path: Path, row: Row) -> None:
    """Add a result; it is on the disk when this returns."""
    with writing(path), path.open("ab") as stream:
        stream.write(_line(row))
        stream.flush()
        os.fsync(stream.fileno())


def _line(row: Row) -> bytes:
    return json.dumps(to_plain(row), separators=(",", ":")).encode() + b"\n"
