"""The training loop: deterministic, resumable, and never without its last good state."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vggt_sfm.errors import InputError, WeightsError
from vggt_sfm.models.tiny.network import TinyBackbone, TinyConfig
from vggt_sfm.training.checkpoints import load_weights
from vggt_sfm.training.curves import Row, read_log
from vggt_sfm.training.depth import simulate_matches
from vggt_sfm.training.loop import Loss, train
from vggt_sfm.training.matching import matching_loss
from vggt_sfm.training.pairs import draw_pairs
from vggt_sfm.training.plan import Plan
from vggt_sfm.training.pool import Shard, load_shards, render_shard, save_shard
from vggt_sfm.training.shards import ShardSource
from vggt_sfm.training.textures import TextureBank, procedural_textures

SMALL = TinyConfig(stem=8, mid=8, coarse=16, deep=16, coarse_blocks=1, deep_blocks=1)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    bank = TextureBank(procedural_textures(6, np.random.default_rng(0)))
    for seed in (0, 1):
        shard = render_shard(bank, scenes=2, views=3, side=64, seed=seed)
        save_shard(folder / f"train-{seed}.npz", shard)
    return folder


def train_matcher(pool: Path, folder: Path, stop_at: int = 4) -> TinyBackbone:
    torch.manual_seed(0)
    model = TinyBackbone(SMALL)

    def objective(data: Shard, rng: np.random.Generator, step: int) -> Iterator[Loss]:
        if step == stop_at:
            raise KeyboardInterrupt
        loss = matching_loss(model, draw_pairs(data, 2, 64, rng), fine_points=16)
        yield Loss(loss.total, {"coarse": loss.coarse})

    plan = Plan(steps=4, peak_rate=1e-3, seed=3, save_every=2, log_every=1)
    train(model, objective, ShardSource(pool, 3, load_shards), folder, plan)
    return model


def test_the_embedded_model_resumes_as_if_it_had_not_stopped(pool: Path, tmp_path: Path) -> None:
    straight = train_matcher(pool, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        train_matcher(pool, tmp_path / "b", stop_at=3)
    resumed = train_matcher(pool, tmp_path / "b")
    assert_same(resumed.state_dict(), straight.state_dict())
    averaged, numbers = load_weights(tmp_path / "b")
    assert_same(averaged, load_weights(tmp_path / "a")[0])
    assert (numbers["step"], numbers["seed"]) == (4, 3)
    assert [without_time(row) for row in read_log(tmp_path / "b")] == [
        without_time(row) for row in read_log(tmp_path / "a")
    ]


def without_time(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "cpu_seconds"}


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert set(left) == set(right)
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], rtol=0, atol=0)


def fit_a_line(folder: Path, plan: Plan, bad_steps: Collection[int] = ()) -> nn.Linear:
    """Train two weights, half frozen; the loss of some steps is not a number."""
    torch.manual_seed(0)
    model = nn.Linear(2, 1)

    def objective(data: Tensor, rng: np.random.Generator, step: int) -> Iterator[Loss]:
        for x in data:
            loss = (model(x) - x.sum()).square().sum() / len(data)
            yield Loss(loss * (torch.nan if step in bad_steps else 1), {"parts": 1})

    def source(step: int, rank: int) -> Tensor:
        return torch.randn(3, 2, generator=torch.Generator().manual_seed(step))

    train(model, objective, source, folder, plan)
    return model


LINE = Plan(steps=6, peak_rate=0.1, warm_up=2, save_every=3, log_every=1)


def test_six_steps_are_three_and_three_more(tmp_path: Path) -> None:
    straight = fit_a_line(tmp_path / "a", LINE)
    fit_a_line(tmp_path / "b", LINE)
    shutil.rmtree(tmp_path / "b" / "step-00000006")
    resumed = fit_a_line(tmp_path / "b", LINE)
    assert_same(resumed.state_dict(), straight.state_dict())
    assert_same(load_weights(tmp_path / "b")[0], load_weights(tmp_path / "a")[0])


def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(tmp_path: Path) -> None:
    straight = fit_a_line(tmp_path / "a", LINE)
    fit_a_line(tmp_path / "b", LINE)
    (tmp_path / "b" / "step-00000006" / "index.json").unlink()
    resumed = fit_a_line(tmp_path / "b", LINE)
    assert_same(resumed.state_dict(), straight.state_dict())
    assert [row["step"] for row in read_log(tmp_path / "b")] == [0, 1, 2, 3, 4, 5]


def test_data_that_cannot_be_had_end_the_run(tmp_path: Path) -> None:
    def source(step: int, rank: int) -> None:
        raise InputError("the disk is gone")

    def objective(data: None, rng: np.random.Generator, step: int) -> Iterator[Loss]:
        yield Loss(torch.zeros(()), {})

    with pytest.raises(InputError, match="disk is gone"):
        train(nn.Linear(1, 1), objective, source, tmp_path, LINE)


def test_a_finished_run_is_only_read(tmp_path: Path) -> None:
    done = fit_a_line(tmp_path, LINE)
    assert_same(fit_a_line(tmp_path, LINE).state_dict(), done.state_dict())


def test_parts_of_a_loss_and_their_numbers_add_up(tmp_path: Path) -> None:
    fit_a_line(tmp_path, LINE)
    assert [row["parts"] for row in read_log(tmp_path)] == [3] * 6


def test_a_step_without_a_finite_loss_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = replace(LINE, steps=1, save_every=1)
    before = fit_a_line(tmp_path, plan)
    with caplog.at_level(logging.WARNING):
        after = fit_a_line(tmp_path, replace(plan, steps=3), bad_steps=(1, 2))
    assert_same(after.state_dict(), before.state_dict())
    assert [message.split(":")[0] for message in caplog.messages] == ["step 1", "step 2"]


def test_many_such_steps_end_the_run_and_keep_the_last_good_state(tmp_path: Path) -> None:
    plan = replace(LINE, steps=20)
    with pytest.raises(WeightsError, match=r"step 12: the loss is nan.* 5th time") as caught:
        fit_a_line(tmp_path, plan, bad_steps=(6, *range(8, 20)))
    assert "\n" not in str(caught.value)
    assert load_weights(tmp_path)[1]["step"] == 12


def test_a_checkpoint_of_another_model_is_refused(pool: Path, tmp_path: Path) -> None:
    fit_a_line(tmp_path, LINE)
    with pytest.raises(WeightsError, match="another model"):
        train_matcher(pool, tmp_path)
    with pytest.raises(WeightsError, match="other parts frozen"):
        fit_a_line(tmp_path, replace(LINE, freeze=("bias",)))


def test_checkpoints_that_would_be_too_large_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"4 x 0 MB of trained weights"):
        fit_a_line(tmp_path, replace(LINE, checkpoint_limit=47))
    fit_a_line(tmp_path, replace(LINE, checkpoint_limit=48, steps=1))  # 3 weights, 4 copies


def test_frozen_weights_stay_and_are_not_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    start = nn.Linear(2, 1)
    model = fit_a_line(tmp_path, replace(LINE, freeze=("weight",)))
    torch.testing.assert_close(model.weight, start.weight, rtol=0, atol=0)
    assert not torch.equal(model.bias, start.bias)
    assert set(load_weights(tmp_path)[0]) == {"bias"}


def test_an_empty_pool_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training shards"):
        train_matcher(tmp_path, tmp_path / "run")


def test_the_loss_falls(pool: Path) -> None:
    torch.manual_seed(0)
    model = TinyBackbone(SMALL)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    shard = load_shards(sorted(pool.glob("*.npz")))
    batch = draw_pairs(shard, 4, 64, np.random.default_rng(0))
    losses = []
    for _ in range(40):
        torch.manual_seed(0)
        loss = matching_loss(model, batch, fine_points=16)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(float(loss.total.detach()))
    assert np.mean(losses[-5:]) < 0.8 * losses[0]


def test_simulated_matches_are_sparse_and_mostly_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vggt_sfm.training.depth._LOST_SHARE", 0.0)
    rng = np.random.default_rng(0)
    depth = torch.full((4, 128, 128), 3.0)
    depth[:, :32] = 0
    for _ in range(20):
        sparse = simulate_matches(depth, torch.zeros(4, 8, 8), rng)
        assert sparse.shape == (4, 8, 8)
        assert bool(torch.isnan(sparse[:, :2]).all())
        known = sparse[torch.isfinite(sparse)]
        if len(known):
            assert abs(float(known.median()) - np.log(3.0)) < 0.25
    monkeypatch.setattr("vggt_sfm.training.depth._LOST_SHARE", 1.0)
    lost = [simulate_matches(depth, torch.zeros(4, 8, 8), rng) for _ in range(20)]
    errors = torch.stack([s.flatten(1).nanmedian(1).values - np.log(3.0) for s in lost])
    assert float(errors[torch.isfinite(errors)].std()) > 0.2
