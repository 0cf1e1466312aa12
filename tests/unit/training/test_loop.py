"""The training loop: deterministic, resumable, and never without its last good state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vggt_sfm.errors import InputError, WeightsError
from vggt_sfm.models.tiny.network import TinyBackbone, TinyConfig
from vggt_sfm.training import loop
from vggt_sfm.training.depth import simulate_matches
from vggt_sfm.training.matching import matching_loss
from vggt_sfm.training.pairs import draw_pairs
from vggt_sfm.training.pool import Shard, load_shards, render_shard, save_shard
from vggt_sfm.training.textures import TextureBank, photographic_textures, procedural_textures

SMALL = TinyConfig(stem=8, mid=8, coarse=16, deep=16, coarse_blocks=1, deep_blocks=1)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    bank = TextureBank(procedural_textures(6, np.random.default_rng(0)))
    for seed in (0, 1):
        shard = render_shard(bank, scenes=2, views=3, side=64, seed=seed)
        save_shard(folder / f"train-{seed}.npz", shard)
    return folder


def train(pool: Path, checkpoint: Path, steps: int, planned: int | None = None) -> TinyBackbone:
    torch.manual_seed(0)
    model = TinyBackbone(SMALL)

    def loss_of(data: Shard, rng: np.random.Generator, step: int) -> loop.Loss:
        if step == steps:
            raise KeyboardInterrupt
        loss = matching_loss(model, draw_pairs(data, 2, 64, rng), fine_points=16)
        return loss.total, {"coarse": loss.coarse}

    plan = loop.Plan(steps=planned or steps, peak_rate=1e-3, seed=3)
    loop.train(model, loss_of, pool, checkpoint, plan)
    return model


def test_a_resumed_run_ends_where_an_undisturbed_one_does(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 2)
    straight = train(pool, tmp_path / "a.pt", 4)
    with pytest.raises(KeyboardInterrupt):
        train(pool, tmp_path / "b.pt", 2, planned=4)
    resumed = train(pool, tmp_path / "b.pt", 4)
    for name, value in straight.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)
    weights, run = loop.load_average(tmp_path / "b.pt")
    assert set(weights) == set(straight.state_dict())
    assert run["step"] == 4
    assert run["seed"] == 3


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_state(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 1)
    model = torch.nn.Linear(2, 1)

    def loss_of(data: Shard, rng: np.random.Generator, step: int) -> loop.Loss:
        loss = model(torch.ones(1, 2)).sum()
        return (loss * torch.nan if step == 2 else loss), {}

    plan = loop.Plan(steps=5, peak_rate=1e-3, seed=0)
    with pytest.raises(WeightsError, match="step 2"):
        loop.train(model, loss_of, pool, tmp_path / "c.pt", plan)
    assert loop.load_average(tmp_path / "c.pt")[1]["step"] == 2


def test_an_empty_pool_and_a_damaged_checkpoint_are_named(pool: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training shards"):
        train(tmp_path, tmp_path / "d.pt", 1)
    (tmp_path / "e.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match=r"e\.pt"):
        train(pool, tmp_path / "e.pt", 1)


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


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    plan = loop.Plan(steps=1000, peak_rate=2.0, seed=0)
    rates = [loop.learning_rate(step, plan) for step in range(1000)]
    assert rates[0] == pytest.approx(2.0 / loop.WARM_UP)
    assert rates[loop.WARM_UP] == rates[590] == 2.0
    assert rates[-1] == pytest.approx(2.0 / 400)
    assert np.all(np.diff(rates[600:]) < 0)


def test_simulated_matches_are_sparse_and_mostly_right() -> None:
    rng = np.random.default_rng(0)
    depth = torch.full((4, 64, 64), 3.0)
    depth[:, :16] = 0
    for _ in range(20):
        sparse = simulate_matches(depth, rng)
        assert sparse.shape == (4, 8, 8)
        assert bool(torch.isnan(sparse[:, :2]).all())
        known = sparse[torch.isfinite(sparse)]
        if len(known):
            assert abs(float(known.median()) - np.log(3.0)) < 0.25


def test_an_empty_texture_folder_and_one_of_rubbish_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no picture"):
        photographic_textures(tmp_path, 5, np.random.default_rng(0))
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=str(tmp_path)):
        photographic_textures(tmp_path, 5, np.random.default_rng(0))
