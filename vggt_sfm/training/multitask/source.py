"""Training batches out of scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

from vggt_sfm.errors import InputError
from vggt_sfm.training.multitask.batch import SceneBatch, SceneViews
from vggt_sfm.training.multitask.sampling import FrameBudget


class SceneReader(Protocol):
    """A scene of which any frames can be had."""

    @property
    def num_frames(self) -> int:
        """How many there are."""

    def views(self, frames: Sequence[int]) -> SceneViews:
        """Return some of them, the first being the reference."""


class SceneSource:
    """The data source of the training loop: random frames of random scenes.

    Args:
        scenes: Where to draw from.
        budget: Frames of a step.
        seed: With the step and the rank, decides everything.
        device: Where the batches shall be.
        frames_at_once: Largest number of frames that go through the network together; scenes of
            more frames go alone.

    Raises:
        InputError: If no budget can be met, because scenes have too few frames.
    """

    def __init__(
        self,
        scenes: Sequence[SceneReader],
        budget: FrameBudget,
        seed: int,
        device: torch.device,
        *,
        frames_at_once: int = 24,
    ) -> None:
        largest = max(scene.num_frames for scene in scenes)
        most = min(budget.most, largest)
        try:
            self._budget = FrameBudget(total=budget.total, fewest=budget.fewest, most=most)
        except ValueError as error:
            raise InputError(
                f"the largest scene has {largest} frames, too few for {budget.total} a step in "
                f"scenes of {budget.fewest} to {budget.most}"
            ) from error
        self._scenes = scenes
        self._seed = seed
        self._device = device
        self._frames_at_once = frames_at_once

    def __call__(self, step: int, rank: int) -> list[SceneBatch]:
        """Return the scenes of a step, those that agree in sizes stacked."""
        rng = np.random.default_rng([self._seed, step, rank])
        drawn = [self._draw(count, rng) for count in self._budget.deal(rng)]
        return [SceneBatch.of(group, self._device) for group in self._groups(drawn)]

    def _draw(self, count: int, rng: np.random.Generator) -> SceneViews:
        large_enough = [scene for scene in self._scenes if scene.num_frames >= count]
        scene = large_enough[int(rng.integers(len(large_enough)))]
        return scene.views(rng.permutation(scene.num_frames)[:count].tolist())

    def _groups(self, scenes: Sequence[SceneViews]) -> Iterator[list[SceneViews]]:
        """Yield scenes of equal sizes, as many as fit at once."""
        by_shape: dict[tuple[int, ...], list[SceneViews]] = {}
        for scene in scenes:
            by_shape.setdefault(scene.images.shape, []).append(scene)
        for shape, alike in by_shape.items():
            at_once = max(1, self._frames_at_once // shape[0])
            for first in range(0, len(alike), at_once):
                yield alike[first : first + at_once]
