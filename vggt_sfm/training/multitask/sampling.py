"""How many frames of which scenes make up a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameBudget:
    """Frames of a step, and how they are dealt out to scenes; the defaults are VGGT's.

    Raises:
        ValueError: If the total cannot be dealt out.
    """

    total: int = 48
    """Frames of a step, always as many."""
    fewest: int = 2
    """Frames of a scene, at least."""
    most: int = 24
    """Frames of a scene, at most."""

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.most or not self.can_deal(self.total):
            raise ValueError(
                f"FrameBudget: {self.total} frames cannot be dealt out in scenes of "
                f"{self.fewest} to {self.most}"
            )

    def can_deal(self, frames: int) -> bool:
        """Tell whether frames, none included, can be dealt out to whole scenes."""
        return frames >= 0 and -(-frames // self.most) * self.fewest <= frames

    def deal(self, rng: np.random.Generator) -> list[int]:
        """Return how many frames each scene of a step has; they sum to the total."""
        counts: list[int] = []
        left = self.total
        while left:
            possible = [n for n in range(self.fewest, self.most + 1) if self.can_deal(left - n)]
            counts.append(int(rng.choice(possible)))
            left -= counts[-1]
        return counts
