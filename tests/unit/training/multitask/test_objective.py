"""A small VGGT with all its tasks: gradients arrive, tasks can be left out, losses fall."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from painted import SMALL, PaintedRoom
from torch import Tensor

from vggt_sfm.models import VGGT
from vggt_sfm.models.tiny.network import TinyBackbone, TinyConfig
from vggt_sfm.training.curves import read_log
from vggt_sfm.training.loop import train
from vggt_sfm.training.matching import matching_loss
from vggt_sfm.training.multitask.batch import SceneBatch
from vggt_sfm.training.multitask.objective import (
    MultiTask,
    MultiTaskConfig,
    Terms,
    architecture_for,
)
from vggt_sfm.training.multitask.sampling import FrameBudget
from vggt_sfm.training.multitask.source import SceneSource
from vggt_sfm.training.pairs import PairBatch
from vggt_sfm.training.plan import Plan

CPU = torch.device("cpu")
EXACT = MultiTaskConfig(precision="float32", recompute=False, tracks_a_scene=16)
TERMS = {"camera", "depth", "points", "tracks", "visibility", "confidence"}
RNG = np.random.default_rng(0)


def network(tasks: MultiTaskConfig = EXACT) -> VGGT:
    torch.manual_seed(0)
    return VGGT(architecture_for(SMALL, tasks))


def room(num_frames: int = 3) -> SceneBatch:
    return SceneBatch.of([PaintedRoom(num_frames).views(range(num_frames))], CPU)


def terms(tasks: MultiTaskConfig, batch: SceneBatch) -> Terms:
    torch.manual_seed(1)
    return MultiTask(network(tasks), tasks).terms(batch)


def gradients(tasks: MultiTaskConfig, parts: list[SceneBatch]) -> dict[str, Tensor]:
    model = network(tasks)
    torch.manual_seed(1)
    for loss in MultiTask(model, tasks)(parts, RNG, 0):
        loss.value.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_losses_are_finite_and_gradients_reach_every_weight(precision: str) -> None:
    tasks = replace(EXACT, precision=precision)  # type: ignore[arg-type]
    found = gradients(tasks, [room()])
    assert set(found) == {name for name, _ in network().named_parameters()}
    without = [name for name, gradient in found.items() if not gradient.any()]
    assert without == []
    assert all(bool(torch.isfinite(gradient).all()) for gradient in found.values())


def test_each_task_can_be_left_out() -> None:
    for name, parts in {
        "camera": {"camera"},
        "depth": {"depth"},
        "points": {"points"},
        "tracks": {"tracks", "visibility", "confidence"},
    }.items():
        tasks = replace(EXACT, **{name: 0.0})  # type: ignore[arg-type]
        assert set(terms(tasks, room())) == TERMS - parts
        assert all(bool(torch.isfinite(term)) for _, term in terms(tasks, room()).values())


def test_a_model_with_other_heads_is_refused() -> None:
    with pytest.raises(ValueError, match="heads"):
        MultiTask(network(), replace(EXACT, depth=0.0))


def test_what_is_computed_again_is_the_same() -> None:
    kept, again = (gradients(replace(EXACT, recompute=r), [room()]) for r in (False, True))
    assert set(kept) == set(again)
    for name, gradient in kept.items():
        torch.testing.assert_close(again[name], gradient, rtol=0, atol=0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_one_frame_and_frames_without_depth_do_no_harm(precision: str) -> None:
    tasks = replace(EXACT, precision=precision)  # type: ignore[arg-type]
    lone = terms(tasks, room(1))
    assert float(lone["tracks"][1].detach()) == 0
    blind = replace(room(), depth=torch.zeros_like(room().depth))
    assert float(terms(tasks, blind)["depth"][1].detach()) == 0
    for found in (gradients(tasks, [room(1)]), gradients(tasks, [blind])):
        assert all(bool(torch.isfinite(gradient).all()) for gradient in found.values())


def test_a_batch_may_be_dealt_out_to_parts_in_any_way() -> None:
    rooms = [PaintedRoom(2, seed=s).views([0, 1]) for s in range(3)]
    tasks = replace(EXACT, tracks=0.0)  # tracks are drawn anew for each part
    together = gradients(tasks, [SceneBatch.of(rooms, CPU)])
    apart = gradients(tasks, [SceneBatch.of(rooms[:1], CPU), SceneBatch.of(rooms[1:], CPU)])
    for name, gradient in together.items():
        torch.testing.assert_close(apart[name], gradient, rtol=1e-4, atol=1e-6)


def test_a_matching_loss_of_the_same_frames_can_join() -> None:
    backbone = TinyBackbone(
        TinyConfig(stem=8, mid=8, coarse=16, deep=16, coarse_blocks=1, deep_blocks=1)
    )

    def matching(batch: SceneBatch) -> Tensor:
        first_two = PairBatch(
            image=batch.images[:, :2],
            depth=batch.depth[:, :2],
            cam_from_world=batch.cam_from_world[:, :2],
            intrinsics=batch.intrinsics[:, :2],
        )
        return matching_loss(backbone, first_two, fine_points=16).total

    batch = SceneBatch.of([PaintedRoom(2, side=64).views([0, 1])], CPU)
    objective = MultiTask(network(), EXACT, {"matching": (0.5, matching)})
    (loss,) = objective([batch], RNG, 0)
    loss.value.backward()
    assert set(loss.numbers) == TERMS | {"matching"}
    assert all(p.grad is not None for p in backbone.parameters())
    weights = {name: weight for name, (weight, _) in objective.terms(batch).items()}
    assert weights == {
        "camera": 1,
        "depth": 1,
        "points": 1,
        "tracks": 0.05,
        "visibility": 0.05,
        "confidence": 0.05,
        "matching": 0.5,
    }


def learn(folder: Path, plan: Plan, tasks: MultiTaskConfig = EXACT) -> VGGT:
    model = network(tasks)
    budget = FrameBudget(total=4, fewest=2, most=4)
    source = SceneSource([PaintedRoom(4)], budget, plan.seed, CPU)
    train(model, MultiTask(model, tasks), source, folder, plan)
    return model


def test_the_loop_trains_what_is_not_frozen(tmp_path: Path) -> None:
    start = dict(network().named_parameters())
    plan = Plan(steps=2, peak_rate=1e-3, warm_up=1, freeze=("aggregator.patch_embed", "track_*"))
    model = learn(tmp_path, plan)
    for name, parameter in model.named_parameters():
        frozen = name.startswith(("aggregator.patch_embed", "track_head"))
        assert torch.equal(parameter, start[name]) is frozen, name
        assert (parameter.grad is None) is frozen, name


def test_a_vggt_resumes_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    plan = Plan(steps=2, peak_rate=1e-3, warm_up=1, save_every=1)
    straight = learn(tmp_path / "a", plan)
    learn(tmp_path / "b", replace(plan, steps=1))
    resumed = learn(tmp_path / "b", plan)
    for name, tensor in straight.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.slow
def test_a_small_network_learns_a_few_frames_by_heart(tmp_path: Path) -> None:
    plan = Plan(steps=150, peak_rate=2e-3, warm_up=10, log_every=1)
    learn(tmp_path, plan)
    rows = read_log(tmp_path)
    for name in TERMS | {"loss"}:
        first = np.mean([row[name] for row in rows[:10]])
        last = np.mean([row[name] for row in rows[-10:]])
        assert last < first, (name, first, last)
        if name in ("camera", "tracks"):
            assert last < 0.7 * first, (name, first, last)
    assert (tmp_path / "curves" / "camera.svg").exists()
