"""Options of placing: what gives a model its scale and its place in the world."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_AT_PIXEL = re.compile(r"(?P<name>.+)@(?P<x>-?[0-9.]+),(?P<y>-?[0-9.]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """A length that was measured between two places."""

    start: str
    """NAME, the camera of that photograph, or NAME@X,Y, what it shows at a pixel."""
    end: str
    """Likewise."""
    metres: float
    """How far they are apart."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.metres) and self.metres > 0):
            raise ValueError(f"Distance.metres: must be a positive length, got {self.metres:g}")
        for field, word in (("start", self.start), ("end", self.end)):
            if not word.strip():
                raise ValueError(f"Distance.{field}: must be NAME or NAME@X,Y, got nothing")
        if self.start == self.end:
            raise ValueError(f"Distance.end: both ends are {self.end}, so there is no distance")


def pixel_of(word: str) -> tuple[str, tuple[float, float] | None]:
    """Split an end of a distance into the photograph's name and the pixel, if it has one."""
    match = _AT_PIXEL.fullmatch(word)
    if match:
        try:
            return match["name"], (float(match["x"]), float(match["y"]))
        except ValueError:
            pass
    return word, None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceConfig:
    """What gives the model metres. Distances count before positions, positions before GPS."""

    gps: Literal["auto", "yes", "no"] = "auto"
    """Whether the photographs' GPS places the model: metres, axes East, North and Up. auto: where
    it fixes the scale to 10 % or better; otherwise the model keeps its own units, and the report
    says how uncertain GPS was."""
    positions: Path | None = None
    """Text file of camera positions that place the model, one NAME X Y Z [SIGMA] a line in metres;
    with a first line name,lat,lon,alt[,sigma] in WGS84 degrees."""
    distances: tuple[Distance, ...] = ()
    """A measured distance in metres that scales the model; may be given several times. Each end is
    NAME, the camera of that photograph, or NAME@X,Y, the point at that pixel of it."""

    def __post_init__(self) -> None:
        pairs = [frozenset((distance.start, distance.end)) for distance in self.distances]
        for pair in pairs:
            if pairs.count(pair) > 1:
                raise ValueError(
                    f"PlaceConfig.distances: {' to '.join(sorted(pair))} is given more than once"
                )
