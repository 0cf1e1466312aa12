"""Textures of the rendered tests: those that training does not see."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vggt_sfm._checks import UInt8
from vggt_sfm.training.seeds import FIRST_TEST_SEED
from vggt_sfm.training.textures import (
    TextureBank,
    photographic_textures,
    picture_files,
    procedural_textures,
)

_PROCEDURAL = 120
_PHOTOGRAPHIC, _FEW = 300, 40


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Textures, and a name for their content."""

    textures: UInt8  # (T, 256, 256, 3)

    @cached_property
    def bank(self) -> TextureBank:
        """The textures, ready for rendering."""
        return TextureBank(self.textures)

    @cached_property
    def key(self) -> str:
        """A hash."""
        return hashlib.sha256(self.textures.tobytes()).hexdigest()[:12]


def held_out_textures(folder: Path | None, pool: Path | None) -> HeldOut:
    """Return textures that were not trained on; without a source, ones of a reserved seed.

    Args:
        folder: Of photographs that no training uses.
        pool: A pool's ``textures.npz``, which says what its training left out.
    """
    rng = np.random.default_rng(FIRST_TEST_SEED)
    if pool is not None:
        with np.load(pool) as data:
            return HeldOut(data["held_out"])
    if folder is not None:
        photographic = photographic_textures(picture_files(folder), _PHOTOGRAPHIC, rng)
        return HeldOut(np.concatenate([photographic, procedural_textures(_FEW, rng)]))
    return HeldOut(procedural_textures(_PROCEDURAL, rng))
