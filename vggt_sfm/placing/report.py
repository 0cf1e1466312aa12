"""What placing a model did, and how well it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Source = Literal["distance", "positions", "gps", "rig", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """One distance or position, and how far the placed model is from it."""

    name: str
    """The image, or both ends of a distance."""
    residual_m: float
    """Placed model minus given: of a distance signed, of a position the length of the offset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the origin of a georeferenced model lies; its axes are East, North and Up."""

    latitude_deg: float
    """WGS84."""
    longitude_deg: float
    altitude_m: float | None
    """Of the same kind as the given altitudes; None where none was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """``new = scale * rotation @ old + translation``."""

    scale: float
    quat_xyzw: tuple[float, float, float, float]
    translation: tuple[float, float, float]
    """New units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementReport:
    """How a model got its metres, or why it did not."""

    source: Source
    applied: bool = False
    reason: str | None = None
    """Why it was not applied."""
    remarks: tuple[str, ...] = ()
    """What is valid but weaker than it might look."""
    scale: float | None = None
    """Metres per unit of the model as it was."""
    scale_sigma: float | None = None
    """Standard deviation of ``scale``, relative to it; None where the data cannot tell."""
    used: tuple[Residual, ...] = ()
    left_out: tuple[Residual, ...] = ()
    """Positions that contradict the others."""
    rms_m: float | None = None
    """Root mean square of the residuals of ``used``."""
    georeferenced: bool = False
    """Whether the axes are East, North and Up at ``origin``."""
    origin: Origin | None = None
    new_from_old: Similarity | None = None
    """What was applied to the model."""
