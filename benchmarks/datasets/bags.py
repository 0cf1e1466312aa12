"""Bags of photographs that are reconstructed together, and what a data set says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.errors import InputError

Area = Literal["auc_exact", "auc_exact_folded", "auc_histogram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bag:
    """Photographs that are reconstructed together, as a manifest lists them."""

    name: str
    """No two bags of a data set share it."""
    images: tuple[str, ...]
    """S paths relative to the root of the data set, in the order of the protocol."""
    groups: tuple[tuple[str, str], ...] = ()
    """What results are averaged by, as (kind, value): ("category", "apple"), ("bag size", "5")."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Truth:
    """True cameras of a bag."""

    cam_from_world: Float64  # (S, 3, 4) in the order of the bag's images
    intrinsics: Float64 | None = None  # (S, 3, 3) px of the files, where a protocol gives them


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a benchmark chooses photographs and what its figure is."""

    frames: str
    """Which photographs, in words."""
    area: Area
    thresholds: tuple[int, ...]
    """Degrees."""
    averaged_over: str | None = None
    """Kind of group: its pooled scores are averaged. None: all pairs of all bags are pooled."""
    fast_images: int | None = None
    """Photographs of a bag that a fast run leaves; None where their number is part of the rules."""


class Dataset(Protocol):
    """A data set on disk."""

    name: str
    source: str
    """Where it is officially obtained."""
    rules: Rules

    def bags(self, rng: np.random.Generator) -> list[Bag]:
        """List all bags; chance decides which frames, where the protocol says so.

        Raises:
            InputError: If a file of the official layout is missing; its name and the source.
        """

    def truth(self, bag: Bag) -> Truth | None:
        """Read the true cameras of a bag; None where there are none.

        Raises:
            InputError: If they cannot be read, or an image has none.
        """


def required(path: Path, source: str) -> Path:
    """Return a path that must be there.

    Raises:
        InputError: If it is not; names the path and where the data is obtained.
    """
    if not path.exists():
        raise InputError(f"{path}: missing; the data set is obtained from {source}")
    return path


def present(root: Path, folders: Sequence[str], source: str) -> list[str]:
    """Return those of a data set's folders that are there.

    Raises:
        InputError: If none is; as in :func:`required`.
    """
    found = [name for name in folders if (root / name).is_dir()]
    if not found:
        required(root / folders[0], source)
    return found


def draw(names: list[str], count: int, rng: np.random.Generator) -> list[str]:
    """Draw names without replacement, in the order of the draw; all of them if there are fewer."""
    chosen = rng.choice(len(names), min(count, len(names)), replace=False)
    return [names[k] for k in chosen]
