"""Textures of the rendered tests: those that training does not see."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vggt_sfm._checks import UInt8
from vggt_sfm.training.render_pool import held_out, texture_sets
from vggt_sfm.training.seeds import FIRST_TEST_SEED
from vggt_sfm.training.textures import TextureBank, procedural_textures

_PROCEDURAL = 120
_HELD_OUT = "held_out"  # in the file that rendering a pool leaves there


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


def held_out_textures(folder: Path | None, bank: Path | None) -> HeldOut:
    """Return the held-out textures of a folder or of a file, else some of a reserved seed.

    Args:
        folder: Of photographs, as training takes it.
        bank: A pool's ``textures.npz``, or a file with arrays of (T, 256, 256, 3), of each of
            which training leaves out the first ones.
    """
    if bank is not None:
        with np.load(bank) as data:
            names = [_HELD_OUT] if _HELD_OUT in data else data.files
            arrays = [data[name] for name in names]
        parts = arrays if names == [_HELD_OUT] else [held_out(each) for each in arrays]
        return HeldOut(np.concatenate(parts))
    if folder is not None:
        return HeldOut(texture_sets(folder)[1])
    return HeldOut(procedural_textures(_PROCEDURAL, np.random.default_rng(FIRST_TEST_SEED)))
