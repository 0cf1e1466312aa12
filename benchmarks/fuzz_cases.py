"""What a case of the fuzz test is: choices from one table, drawn by a generator or by hypothesis.

The first choice of every field is the harmless one, so that hypothesis shrinks towards it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

import numpy as np

from vggt_sfm.ba.config import BundleConfig, CameraModel, SeedConfig

Choices = dict[str, tuple[Any, ...]]


def _one_of(*values: Any) -> Any:  # Any: the field's type is its annotation
    return field(default=values[0], metadata={"choices": values})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A scene, what is wrong with it, and how it is adjusted; plain enough for JSON."""

    seed: int = 0
    images: int = _one_of(5, 1, 2, 3, 4, 6, 8, 12)
    tracks: int = _one_of(60, 0, 1, 7, 8, 20, 150, 400)
    layout: str = _one_of("arc", "line", "turn", "same", "forward")
    cloud: str = _one_of("box", "plane", "line", "one", "two clusters")
    sizes: str = _one_of("equal", "two", "each", "dot", "huge")
    camera_keys: str = _one_of("one", "two", "each", "none")
    exif: str = _one_of("none", "some", "all", "zero", "negative", "nan", "infinite", "huge")
    world_scale: float = _one_of(1.0, 1e6, 1e-9, 1e-3, 1e12)
    world_offset: float = _one_of(0.0, 1e3, 1e6, 1e9)

    rotation_deg: float = _one_of(0.5, 0.0, 5.0, 30.0, 180.0)
    center: float = _one_of(0.01, 0.0, 0.3, 3.0, 100.0)
    pose: str = _one_of(
        "good", "all equal", "one far", "at 1e200", "zero translation",
        "slightly scaled", "nan", "infinite", "mirrored", "scaled", "zero",
    )  # fmt: skip
    focal: str = _one_of(
        "good", "double", "tenth", "1e9", "1e-9", "1e300", "zero", "negative", "one zero",
        "each random", "nan", "infinite",
    )  # fmt: skip
    principal: str = _one_of("good", "outside", "1e6", "1e300")
    depth: str = _one_of(
        "good", "noisy", "flat", "zero", "nan", "infinite", "negative", "1e30", "1e-30", "half nan",
    )  # fmt: skip
    points: str = _one_of(
        "by depth", "true", "nan", "some nan", "infinite", "at centres", "behind", "1e300",
        "1e-300", "one place", "far", "by world points", "by nan world points",
    )  # fmt: skip

    pixel_noise: float = _one_of(0.3, 0.0, 3.0, 50.0)
    outliers: float = _one_of(0.05, 0.0, 0.5, 1.0)
    lengths: str = _one_of("all", "two", "one", "mixed")
    groups: int = _one_of(1, 2, 3, 12)
    lonely: str = _one_of("none", "one", "half")
    copies: int = _one_of(1, 2, 10)
    observed: str = _one_of(
        "good", "some nan", "all nan", "some infinite", "some outside", "all outside", "border",
        "one pixel",
    )  # fmt: skip
    order: str = _one_of(
        "kept", "unsorted", "frame twice", "frame -1", "frame too large", "track -1",
        "track too large",
    )  # fmt: skip

    camera_model: str = _one_of(*get_args(CameraModel))
    bundle: dict[str, Any] = field(default_factory=dict)
    """Options of BundleConfig."""
    seeding: dict[str, Any] = field(default_factory=dict)
    """Options of SeedConfig."""

    @property
    def may_be_refused(self) -> bool:
        """Whether it breaks what Predictions or Tracks promise, so that they may not take it."""
        return (
            self.pose in ("nan", "infinite", "mirrored", "scaled", "zero")
            or self.focal in ("nan", "infinite")
            or self.order != "kept"
        )


# What ends a case before much is tried.
_RARE = {"order": 0.1, "pose": 0.6, "focal": 0.8, "bundle.max_seconds": 0.3}
# What makes a scene small or large, or is one of several good ways; so are most options.
_HARMLESS = ("images", "tracks", "camera_keys", "camera_model")
_BUNDLE_OPTIONS: Choices = {
    "refine_distortion": ("auto", "yes", "no"),
    "refine_principal_point": ("auto", "yes", "no"),
    "loss_px": (None, 1.0, 1e-6, 0.1, 10.0, 1e6),
    "focal_sigma": (0.2, 1e-6, 10.0),
    "exif_focal_sigma": (0.1, 1e-6, 10.0),
    "max_error_px": (4.0, 1e-6, 0.5, 50.0, 1e9),
    "min_angle_deg": (1.0, 0.0, 5.0, 90.0),
    "early_points": (300, 0, 1, 10),
    "min_observations": (12, 3, 50),
    "max_seconds": (None, 1e-9, 1e-3, 0.03, 0.3),
    "threads": (None, 1, 2, 0),
}


def choices() -> Choices:
    """Return what can be drawn for each field; options are called ``bundle.…``, ``seeding.…``."""
    table: Choices = {
        entry.name: entry.metadata["choices"] for entry in fields(Case) if entry.metadata
    }
    for config, group in ((BundleConfig, "bundle"), (SeedConfig, "seeding")):
        for entry in fields(config):
            if entry.type == "bool":
                table[f"{group}.{entry.name}"] = (entry.default, not entry.default)
    return table | {f"bundle.{name}": values for name, values in _BUNDLE_OPTIONS.items()}


def make_case(seed: int, values: dict[str, Any]) -> Case:
    """Build a case from a seed and one value of ``choices`` for each name."""
    plain: dict[str, Any] = {"seed": seed, "bundle": {}, "seeding": {}}
    for name, value in values.items():
        group, _, option = name.rpartition(".")
        (plain[group] if group else plain)[option] = value
    return Case(**plain)


def draw_case(seed: int, number: int) -> Case:
    """Draw a case; equal arguments give an equal case.

    Most cases have a few things wrong, some nothing and some nearly everything.
    """
    rng = np.random.default_rng([seed, number])
    harm = rng.choice([0.02, 0.1, 0.2, 0.4])
    values = {}
    for name, options in choices().items():
        likely = 0.5 if name in _HARMLESS or "." in name else harm
        likely *= _RARE.get(name, 1.0)
        pick = rng.integers(1, len(options)) if rng.random() < likely else 0
        values[name] = options[pick]
    return make_case(int(rng.integers(2**31)), values)


def to_plain(case: Case) -> dict[str, Any]:
    """Return a case as JSON has it."""
    return asdict(case)


def from_plain(plain: dict[str, Any]) -> Case:
    """Return the case that ``to_plain`` was given."""
    return Case(**plain)
