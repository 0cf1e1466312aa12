"""The embedded model from a pool of rendered views to packaged weights that load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from vggt_sfm.models.tiny.model import TinyModel
from vggt_sfm.models.tiny.network import TinyConfig
from vggt_sfm.training import evaluate, package, render_pool, tiny
from vggt_sfm.training.contact_sheet import contact_sheet
from vggt_sfm.training.pool import load_shards, render_shard, save_shard
from vggt_sfm.training.scenes.draw import KINDS
from vggt_sfm.training.textures import TextureBank, procedural_textures

SMALL = TinyConfig(stem=8, mid=8, coarse=16, deep=16, coarse_blocks=1, deep_blocks=1, context=16)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes, sizes and networks for which seconds are enough."""
    for name, value in {"SCENES": 2, "VIEWS": 3, "SIDE": 64, "PROCEDURAL": 9}.items():
        monkeypatch.setattr(render_pool, name, value)
    for name, value in {"_BATCHES": 1, "_PAIRS": 2, "_SCENES": 4, "_SIDE": 64}.items():
        monkeypatch.setattr(evaluate, name, value)
    monkeypatch.setattr(tiny, "BATCHES", ((64, 2), (48, 2)))
    monkeypatch.setitem(tiny.SIZES, "full", SMALL)


def command(group: object, *arguments: object) -> None:
    result = CliRunner().invoke(group, [str(a) for a in arguments], catch_exceptions=False)  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output


@pytest.mark.usefixtures("small")
def test_from_scenes_to_packaged_weights_and_on_from_there(tmp_path: Path) -> None:
    pool, matcher, context, depth = (tmp_path / n for n in ("pool", "matcher", "context", "depth"))
    command(render_pool.main, pool, "--shards", 2)
    assert len(list(pool.glob("train-*.npz"))) == 2
    command(tiny.main, "matcher", pool, matcher, "--steps", 2)
    command(tiny.main, "context", pool, matcher, context, "--steps", 2)
    early = CliRunner().invoke(tiny.main, ["depth", *map(str, (pool, matcher, depth))])
    assert (early.exit_code, "training.tiny solve" in early.output) == (3, True)
    command(tiny.main, "solve", pool, matcher, context)
    command(tiny.main, "solve", pool, matcher, context)  # what is there is kept
    command(tiny.main, "depth", pool, matcher, depth, "--steps", 2)
    weights = tmp_path / "tiny.safetensors"
    record = package.package(matcher, context, depth, pool, weights, textures=["none"])
    assert json.loads(weights.with_suffix(".json").read_text()) == record
    assert record["training"]["context"]["step"] == 2
    model = TinyModel.load(weights, torch.device("cpu"))
    again = tmp_path / "again"
    command(tiny.main, "context", pool, matcher, again, "--steps", 1, "--start", weights)
    first = package.package(matcher, again, depth, pool, weights, textures=[], start=weights)
    assert first["training"]["started_from"]["sha256"] == record["sha256"]
    assert model.context is not None


@pytest.mark.usefixtures("small")
def test_rendering_goes_on_where_it_was_and_keeps_textures_apart(tmp_path: Path) -> None:
    command(render_pool.main, tmp_path, "--shards", 1)
    (shard,) = tmp_path.glob("train-*.npz")
    before = shard.stat().st_mtime_ns
    command(render_pool.main, tmp_path, "--shards", 2)
    assert shard.stat().st_mtime_ns == before
    assert load_shards(sorted(tmp_path.glob("train-*.npz"))).image.shape == (4, 3, 64, 64, 3)
    with np.load(tmp_path / "textures.npz") as kept:
        trained = {t.tobytes() for t in kept["train"]}
        assert not trained & {t.tobytes() for t in kept["held_out"]}


def test_what_cannot_be_trained_on_is_one_line(tmp_path: Path, shard_of_single_views: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, exit_code, message in (
        ((render_pool.main, tmp_path / "p", "--textures", tmp_path / "empty"), 3, "no picture"),
        ((tiny.main, "matcher", tmp_path / "empty", tmp_path / "run"), 3, "no training shards"),
        ((tiny.main, "matcher", shard_of_single_views, tmp_path / "run"), 3, "two views"),
    ):
        group, *rest = arguments
        result = CliRunner().invoke(group, [str(a) for a in rest])  # type: ignore[arg-type]
        assert result.exit_code == exit_code
        assert message in result.output
        assert result.output.count("\n") <= 2
        assert "Traceback" not in result.output


@pytest.fixture
def shard_of_single_views(tmp_path: Path) -> Path:
    pool = tmp_path / "lonely"
    pool.mkdir()
    bank = TextureBank(procedural_textures(6, np.random.default_rng(0)))
    save_shard(pool / "train-0.npz", render_shard(bank, scenes=2, views=1, side=32, seed=0))
    return pool


def test_a_contact_sheet_has_a_row_for_every_kind_of_scene() -> None:
    bank = TextureBank(procedural_textures(6, np.random.default_rng(0)))
    for photographed in (False, True):
        sheet = contact_sheet(bank, 2, 24, seed=0, photographed=photographed)
        assert sheet.shape == (24 * len(KINDS), 24 * 3, 3)
        assert all(row.std() > 5 for row in np.split(sheet, len(KINDS)))


def test_the_full_model_fits_into_the_package_and_its_checkpoints() -> None:
    model = TinyModel(tiny.SIZES["full"])
    parameters = sum(p.numel() for p in model.parameters())
    assert 2 * parameters < 24e6
    assert 16 * parameters < 100e6
    assert replace(tiny.SIZES["full"]) == TinyConfig()
