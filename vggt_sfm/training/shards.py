"""The embedded model's training data: some shards of its pool at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from vggt_sfm.errors import InputError

Data = TypeVar("Data")

_IN_MEMORY = 8
_LIFE = 400  # steps between exchanges of the shards in memory


class ShardSource(Generic[Data]):
    """Shards drawn from a pool, the same ones for a stretch of steps.

    Raises:
        InputError: If the pool is empty.
    """

    def __init__(self, pool: Path, seed: int, load: Callable[[list[Path]], Data]) -> None:
        self._load = load
        self._paths = sorted(pool.glob("train-*.npz"))
        self._seed = seed
        self._stretch: tuple[int, int] | None = None
        if not self._paths:
            raise InputError(
                f"{pool}: no training shards; make some with vggt_sfm.training.render_pool"
            )

    def __call__(self, step: int, rank: int) -> Data:
        """Return what was loaded for a step."""
        stretch = (step // _LIFE, rank)
        if stretch != self._stretch:
            rng = np.random.default_rng([self._seed, *stretch, 1])
            chosen = rng.choice(len(self._paths), min(_IN_MEMORY, len(self._paths)), replace=False)
            self._data = self._load([self._paths[i] for i in chosen])
            self._stretch = stretch
        return self._data
