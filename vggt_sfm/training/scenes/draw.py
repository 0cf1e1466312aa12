"""Scenes and cameras drawn by chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from vggt_sfm.training.scenes.description import StagedScene
from vggt_sfm.training.scenes.indoor import bare_room, clutter, room, table_top
from vggt_sfm.training.scenes.outdoor import statue, street, terrain, thin
from vggt_sfm.training.scenes.palette import Palette

KINDS: Final[dict[str, tuple[float, Callable[[Palette], StagedScene]]]] = {
    "room": (0.22, room),
    "street": (0.2, street),
    "table": (0.12, table_top),
    "terrain": (0.1, terrain),
    "clutter": (0.12, clutter),
    "thin": (0.06, thin),
    "statue": (0.1, statue),
    "bare room": (0.08, bare_room),
}
"""Every kind of scene with its share."""


def random_scene(rng: np.random.Generator, textures: int, kind: str | None = None) -> StagedScene:
    """Draw a scene, and where it can be photographed from.

    Args:
        rng: Source of everything random.
        textures: Size of the texture bank.
        kind: One of ``KINDS``; drawn by share if None.
    """
    names = list(KINDS)
    chosen = kind or names[rng.choice(len(names), p=[KINDS[n][0] for n in names])]
    return KINDS[chosen][1](Palette(rng, textures))
