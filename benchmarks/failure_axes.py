"""What is made harder in the failure map, one thing at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

KINDS = ("table", "clutter", "statue", "room")
"""Kinds of scene that cameras can go around."""
OPEN_KINDS = ("street", "terrain")
"""Kinds of scene that cameras can pass sideways."""
_SCENES = 4  # of each setup
_LEAST_PAIRS = 12  # of each setup: with few frames there are more scenes


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a scene is made and photographed; the defaults are easy."""

    frames: int = 4
    step_deg: float = 15.0
    """Between neighbouring cameras on their way around the target."""
    overlap: float | None = None
    """Of neighbouring views, percent; if given, cameras stand side by side and look ahead."""
    plain: float = 0.0
    """Share of what is seen that has no texture, percent."""
    repeated: float = 0.0
    """Share of what is seen that has the same small tile all over, percent."""
    view_deg: float = 60.0
    """Horizontal field of view."""
    noise: float = 0.0
    """Standard deviation, of 1 for white."""
    blur_px: float = 0.0
    """Standard deviation of a Gaussian."""

    @property
    def scenes(self) -> int:
        """How many scenes it takes."""
        pairs = self.frames * (self.frames - 1) // 2
        return max(_SCENES, -(-_LEAST_PAIRS // pairs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One field of the setup that takes several values."""

    name: str
    unit: str
    field: str
    values: tuple[float, ...]

    def setups(self) -> list[Setup]:
        """Return the easy setup with each of the values."""
        easy = asdict(Setup())
        kind = type(easy[self.field] or 0.0)  # an int stays one: setups are looked up by value
        changed = [{**easy, self.field: kind(value)} for value in self.values]
        return [Setup(**each) for each in changed]

    @property
    def label(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One scene of one setup."""

    setup: Setup
    number: int

    @property
    def kind(self) -> str:
        """Kind of scene; all setups use the same ones in turn."""
        kinds = KINDS if self.setup.overlap is None else OPEN_KINDS
        return kinds[self.number % len(kinds)]


AXES = (
    Axis(
        name="rotation between neighbours",
        unit="°",
        field="step_deg",
        values=(5, 10, 15, 20, 30, 40, 50, 60),
    ),
    Axis(name="overlap of neighbours", unit="%", field="overlap", values=(10, 20, 35, 50, 70, 90)),
    Axis(name="plain surfaces", unit="%", field="plain", values=(0, 25, 50, 75, 90, 100)),
    Axis(name="repeated texture", unit="%", field="repeated", values=(0, 25, 50, 75, 100)),
    Axis(name="photographs", unit="", field="frames", values=(2, 3, 4, 6, 8, 12, 16)),
    Axis(name="field of view", unit="°", field="view_deg", values=(30, 45, 60, 80, 100)),
    Axis(name="noise σ, white = 1", unit="", field="noise", values=(0, 0.025, 0.05, 0.075, 0.1)),
    Axis(name="blur σ", unit="px", field="blur_px", values=(0, 0.5, 1, 2, 4)),
)


def cases_of(setup: Setup) -> list[Case]:
    """Return the scenes of a setup."""
    return [Case(setup=setup, number=n) for n in range(setup.scenes)]


def all_cases(axes: tuple[Axis, ...] = AXES) -> Iterator[Case]:
    """Return every case once; the easy setup is on most axes."""
    setups = dict.fromkeys(setup for axis in axes for setup in axis.setups())
    for setup in setups:
        yield from cases_of(setup)
