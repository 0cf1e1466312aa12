"""What ``transforms.json`` says of one frame: numbers and matrices by key, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggt_sfm._checks import Float64, check_rotations
from vggt_sfm.errors import InputError

_HOMOGENEOUS = np.array([0.0, 0.0, 0.0, 1.0])
_LAST_ROW_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """The entries of a frame, and those of the whole file, which hold where it has none."""

    where: str
    """How messages call the frame: the file, its number and its photograph."""
    own: Mapping[str, Any]  # Any: JSON
    shared: Mapping[str, Any]

    def has(self, key: str) -> bool:
        """Tell whether the frame or the file has an entry."""
        return key in self.own or key in self.shared

    def value(self, key: str) -> Any:  # Any: JSON
        """Return an entry, the frame's own before that of the file.

        Raises:
            InputError: If there is none.
        """
        if not self.has(key):
            raise InputError(f"{self.where}: no {key}")
        return self.own[key] if key in self.own else self.shared[key]

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number.

        Raises:
            InputError: If it is something else, or missing without a default.
        """
        if default is not None and not self.has(key):
            return default
        value = self.value(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value) if abs(value) < 1e300 else math.inf  # a huge int has no float
            if math.isfinite(number):
                return number
        raise InputError(f"{self.where}: {key} is {_short(value)}, not a finite number")

    def positive(self, key: str, default: float | None = None) -> float:
        """Return a number above 0; errors are those of ``number``."""
        number = self.number(key, default)
        if not number > 0:
            raise InputError(f"{self.where}: {key} is {number:g}, which must be above 0")
        return number

    def pixels(self, key: str) -> int:
        """Return a whole number above 0, which may be written as 640.0."""
        number = self.positive(key)
        if number != int(number):
            raise InputError(f"{self.where}: {key} is {number:g}, not a whole number of pixels")
        return int(number)

    def motion(self, key: str) -> tuple[float, Float64]:
        """Return a similarity that is written as 3 or 4 rows of 4.

        Returns:
            Scale, and the (3, 4) matrix whose rotation has that scale divided out.

        Raises:
            InputError: If it is missing, has another shape, or does more than turn, scale and move.
        """
        value = self.value(key)
        try:
            matrix = np.array(value, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{self.where}: {key} is {_short(value)}, no matrix") from error
        if matrix.shape not in ((3, 4), (4, 4)):
            raise InputError(f"{self.where}: {key} has the shape {matrix.shape}, not (4, 4)")
        if not np.isfinite(matrix).all():
            raise InputError(f"{self.where}: {key} has numbers that are not finite")
        if np.abs(matrix[3:] - _HOMOGENEOUS).max(initial=0.0) > _LAST_ROW_TOLERANCE:
            raise InputError(
                f"{self.where}: {key} has the last row {_short(value[3])}, not 0 0 0 1"
            )
        with np.errstate(all="ignore"):  # what comes of numbers without end is no rotation
            scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
            rotation = np.nan_to_num(matrix[:3, :3] / max(scale, 0.0))
        try:
            check_rotations(key, rotation)
        except ValueError as error:
            raise InputError(f"{self.where}: {key} holds no rotation") from error
        return scale, np.column_stack([rotation, matrix[:3, 3]])


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
