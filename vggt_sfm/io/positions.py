"""Positions of cameras from a text file, one image a line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vggt_sfm.errors import InputError
from vggt_sfm.scene import GpsPosition

EXPECTED = (
    "NAME X Y Z [SIGMA] in metres, or a header such as name,lat,lon,alt,sigma on the first line; "
    "a name with spaces needs quotes, or commas or tabs between the values"
)

_LOCAL = ("name", "x", "y", "z", "sigma")
_GEOGRAPHIC = ("name", "lat", "lon", "alt", "sigma")
_SAME_COLUMN = {
    "image": "name",
    "filename": "name",
    "label": "name",
    "latitude": "lat",
    "longitude": "lon",
    "lng": "lon",
    "altitude": "alt",
    "height": "alt",
    "sigma_m": "sigma",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPosition:
    """Where a camera was, in a right-handed metric frame of the user's."""

    x_m: float
    y_m: float
    z_m: float | None = None
    """None: unknown."""
    sigma_m: float | None = None
    """Standard deviation in each direction; None: unknown."""


Position = LocalPosition | GpsPosition


def read_positions(path: Path) -> dict[str, Position]:
    """Read where cameras were.

    Args:
        path: A text file with a line ``NAME X Y Z [SIGMA]`` an image, in metres, as COLMAP's
            model_aligner takes. Commas, tabs or spaces lie between the values. A first line may
            name the columns, in any order: ``name,x,y,z[,sigma]``, or ``name,lat,lon,alt[,sigma]``
            for WGS84 degrees. A height may be empty. Lines that start with # are passed over.

    Returns:
        The positions by image name, all of one kind.

    Raises:
        InputError: If the file cannot be read or a line does not fit; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable list of positions: {error}") from error
    columns: Sequence[str] = _LOCAL
    found: dict[str, Position] = {}
    line_of: dict[str, int] = {}
    first = True
    for number, line in _content(lines):
        where = f"{path}, line {number}"
        header = _header(line) if first else None
        first = False
        if header is not None:
            columns = _checked(header, where)
            continue
        values = _values(line, columns, where)
        name = values["name"]
        if name in found:
            raise InputError(f"{where}: {name} has a position already, in line {line_of[name]}")
        found[name], line_of[name] = _position(values, where), number
    if not found:
        raise InputError(f"{path}: holds no position; expected a line an image: {EXPECTED}")
    return found


def _content(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _splits(line: str) -> Iterator[list[str]]:
    """Yield the values of a line as each separator it contains would have them."""
    for separator in "\t, ":
        if separator in line:
            try:
                (row,) = csv.reader(
                    [line], delimiter=separator, skipinitialspace=separator != "\t", strict=True
                )
            except csv.Error:
                continue
            values = [value.strip() for value in row]
            yield [value for value in values if value] if separator == " " else values


def _header(line: str) -> list[str] | None:
    """Return the names of columns if the line has some that are known, and no number."""
    for values in _splits(line):
        folded = [value.casefold() for value in values]
        words = [_SAME_COLUMN.get(word, word) for word in folded]
        known = len({*_LOCAL, *_GEOGRAPHIC}.intersection(words))
        if len(words) >= 3 and known and not any(_is_number(word) for word in words):
            return words
    return None


def _checked(header: list[str], where: str) -> list[str]:
    for kind in (_LOCAL, _GEOGRAPHIC):
        needed = set(kind[:3])
        if needed <= set(header) <= set(kind) and len(set(header)) == len(header):
            return header
    raise InputError(f"{where}: unknown columns {', '.join(header)}; expected {EXPECTED}")


def _values(line: str, columns: Sequence[str], where: str) -> dict[str, str]:
    """Return the texts of a line by column; a sigma at the end may be absent."""
    fewest = len(columns) - (columns[-1] == "sigma")
    for values in _splits(line):
        given = dict(zip(columns, values, strict=False))
        numbers = [value for column, value in given.items() if column != "name"]
        fits = fewest <= len(values) <= len(columns) and given["name"]
        if fits and all(_is_number(number) or not number for number in numbers):
            return given
    shown = line if len(line) <= 60 else f"{line[:60]}…"
    raise InputError(f"{where}: expected {EXPECTED}; got {shown}")


def _position(values: dict[str, str], where: str) -> Position:
    """Build the position of a line whose texts are numbers, or empty."""
    numbers = {key: float(text) for key, text in values.items() if key != "name" and text}
    wrong = [f"{key} {number:g}" for key, number in numbers.items() if not math.isfinite(number)]
    sigma = numbers.get("sigma")
    if sigma is not None and not sigma > 0:
        wrong.append(f"sigma {sigma:g}, which must be positive")
    geographic = "lat" in values
    wrong += [f"no {key}" for key in ("lat", "lon", "x", "y") if key in values and not values[key]]
    for key, limit in (("lat", 90), ("lon", 180)):
        if abs(numbers.get(key, 0.0)) > limit:
            wrong.append(f"{key} {numbers[key]:g}, which must lie within {limit} degrees")
    if wrong:
        raise InputError(f"{where}: {values['name']} has {'; '.join(wrong)}")
    if geographic:
        return GpsPosition(
            latitude_deg=numbers["lat"],
            longitude_deg=numbers["lon"],
            altitude_m=numbers.get("alt"),
            sigma_m=sigma,
        )
    return LocalPosition(x_m=numbers["x"], y_m=numbers["y"], z_m=numbers.get("z"), sigma_m=sigma)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
