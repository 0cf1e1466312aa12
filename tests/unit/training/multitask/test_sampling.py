"""Every step has as many frames, in scenes of as many as are wanted, and the same ones again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from painted import PaintedRoom

from vggt_sfm.errors import InputError
from vggt_sfm.training.multitask.sampling import FrameBudget
from vggt_sfm.training.multitask.source import SceneSource

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("total", "fewest", "most"), [(48, 2, 24), (7, 3, 4), (12, 4, 4), (5, 1, 5), (1, 1, 1)]
)
def test_frames_of_a_step_sum_to_the_total(total: int, fewest: int, most: int) -> None:
    budget = FrameBudget(total=total, fewest=fewest, most=most)
    for seed in range(50):
        counts = budget.deal(np.random.default_rng(seed))
        assert sum(counts) == total
        assert all(fewest <= count <= most for count in counts)


def test_all_numbers_of_frames_occur() -> None:
    budget = FrameBudget()
    seen = {n for seed in range(300) for n in budget.deal(np.random.default_rng(seed))}
    assert seen == set(range(2, 25))


@pytest.mark.parametrize("wrong", [(5, 3, 4), (1, 2, 3), (4, 0, 4), (4, 3, 2)])
def test_totals_that_cannot_be_dealt_out_are_refused(wrong: tuple[int, int, int]) -> None:
    total, fewest, most = wrong
    with pytest.raises(ValueError, match=f"{total} frames cannot be dealt out"):
        FrameBudget(total=total, fewest=fewest, most=most)


def source(seed: int = 0, total: int = 12, largest: int = 5) -> SceneSource:
    scenes = [PaintedRoom(3, side=8, seed=1), PaintedRoom(largest, side=8, seed=2)]
    return SceneSource(scenes, FrameBudget(total=total, most=6), seed, CPU, frames_at_once=6)


def test_steps_are_the_same_again_and_differ_from_each_other() -> None:
    a, b = source()(3, 0), source()(3, 0)
    assert [part.images.shape for part in a] == [part.images.shape for part in b]
    assert all(torch.equal(x.images, y.images) for x, y in zip(a, b, strict=True))
    for other in (source()(4, 0), source()(3, 1), source(seed=1)(3, 0)):
        first, second = a[0].images.flatten(), other[0].images.flatten()
        assert len(first) != len(second) or not torch.equal(first, second)


def test_scenes_of_a_size_are_stacked_as_far_as_they_fit() -> None:
    stacked = 0
    for step in range(20):
        parts = source()(step, 0)
        assert sum(part.num_frames for part in parts) == 12
        assert all(part.num_frames <= 6 for part in parts)
        assert all(2 <= part.images.shape[1] <= 5 for part in parts)
        stacked += sum(len(part.images) > 1 for part in parts)
    assert stacked > 0


def test_scenes_with_too_few_frames_are_an_error_of_the_data() -> None:
    with pytest.raises(InputError, match="the largest scene has 3 frames, too few for 7"):
        SceneSource([PaintedRoom(3, side=8)], FrameBudget(total=7, fewest=4), 0, CPU)
