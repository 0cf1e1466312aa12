"""Random scenes, their views, and what is known to correspond between them."""

from __future__ import annotations

import io
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vggt_sfm.errors import InputError
from vggt_sfm.geometry.cameras import project, unproject
from vggt_sfm.training.pairs import LEAST_OVERLAP, PairBatch, draw_pairs
from vggt_sfm.training.photograph import jpeg, photograph
from vggt_sfm.training.pool import Shard, load_shards, render_shard, save_shard
from vggt_sfm.training.scenes.cameras import STYLES
from vggt_sfm.training.scenes.draw import KINDS
from vggt_sfm.training.textures import TextureBank, procedural_textures
from vggt_sfm.training.views import random_views
from vggt_sfm.training.warp import warp

# of the difference between unrelated places: textures are blurred differently in both views
SAME_COLOR_SHARE = 0.35


@pytest.fixture(scope="module")
def bank() -> TextureBank:
    return TextureBank(procedural_textures(8, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def shard(bank: TextureBank) -> Shard:
    return render_shard(bank, scenes=3, views=3, side=96, seed=5)


@pytest.fixture(scope="module")
def pairs(shard: Shard) -> PairBatch:
    return draw_pairs(shard, 8, 96, np.random.default_rng(1))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_scene_has_views_that_see_each_other(bank: TextureBank, kind: str) -> None:
    views = random_views(bank, 3, 32, np.random.default_rng(4), kind=kind)
    assert views.scene.kind == kind
    assert views.image.shape == (3, 32, 32, 3)
    assert 0 <= float(views.image.min()) < float(views.image.max()) <= 1
    assert float((views.depth > 0).float().mean()) > 0.25
    others = views.overlap - 2 * np.eye(3)
    assert np.all(others.max(1) > 0.1)
    assert np.isfinite(views.cameras.cam_from_world).all()


@pytest.mark.parametrize("style", STYLES)
def test_every_way_of_photographing_works(bank: TextureBank, style: str) -> None:
    views = random_views(bank, 4, 32, np.random.default_rng(6), kind="room", style=style)
    R = views.cameras.cam_from_world[:, :, :3]
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (4, 1, 1)), atol=1e-9)
    centers = -np.einsum("vji,vj->vi", R, views.cameras.cam_from_world[:, :, 3])
    if style == "pan":
        assert np.ptp(centers, axis=0).max() < 1.5
    assert np.ptp(centers, axis=0).max() > 0


def test_a_seed_decides_the_whole_shard(bank: TextureBank) -> None:
    a, b, other = (render_shard(bank, scenes=1, views=2, side=32, seed=s) for s in (9, 9, 10))
    for name in (f.name for f in fields(Shard)):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert np.any(a.image != other.image)


def test_warp_agrees_with_projection_one_point_at_a_time(pairs: PairBatch) -> None:
    xy = torch.rand(8, 40, 2, generator=torch.Generator().manual_seed(0)) * 96
    there, seen = warp(pairs.geometry(0), pairs.geometry(1), xy)
    assert 0.05 < seen.float().mean() < 1
    for b in range(8):
        for n in np.flatnonzero(seen[b].numpy())[:10]:
            column, row = xy[b, n].long().tolist()
            world = unproject(
                xy[b, n].double().numpy(),
                pairs.depth[b, 0, row, column].double().numpy(),
                pairs.intrinsics[b, 0].double().numpy(),
                pairs.cam_from_world[b, 0].double().numpy(),
            )
            expected, depth = project(
                world,
                pairs.cam_from_world[b, 1].double().numpy(),
                pairs.intrinsics[b, 1].double().numpy(),
            )
            np.testing.assert_allclose(there[b, n].numpy(), expected, atol=2e-3)
            column, row = there[b, n].long().tolist()
            assert pairs.depth[b, 1, row, column] == pytest.approx(float(depth), rel=0.03)


def test_the_same_point_has_the_same_colour_in_both_views(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mirroring, cutting and shrinking must move images and cameras alike."""
    monkeypatch.setattr("vggt_sfm.training.pairs.photograph", lambda image, rng: image)
    for seed in range(4):
        batch = draw_pairs(shard, 8, 64, np.random.default_rng(seed))
        xy = torch.rand(8, 200, 2, generator=torch.Generator().manual_seed(seed)) * 64
        there, seen = warp(batch.geometry(0), batch.geometry(1), xy)
        here_color, there_color = (_color(batch, 0, xy), _color(batch, 1, there))
        difference = (here_color - there_color).abs().mean(-1)[seen]
        shuffled = (here_color - there_color.flip(0)).abs().mean(-1)[seen]
        assert difference.median() < SAME_COLOR_SHARE * shuffled.median()


def _color(batch: PairBatch, view: int, xy: torch.Tensor) -> torch.Tensor:
    grid = (xy / batch.image.shape[-1] * 2 - 1)[:, None]
    sampled = torch.nn.functional.grid_sample(batch.image[:, view], grid, align_corners=False)
    return sampled[:, :, 0].transpose(1, 2)


def test_pairs_see_each_other(shard: Shard, pairs: PairBatch) -> None:
    grid = torch.cartesian_prod(*(2 * [torch.arange(4, 96, 8) + 0.5])).expand(8, -1, -1)
    _, seen = warp(pairs.geometry(0), pairs.geometry(1), grid)
    # the overlap is measured on small views: leave some room
    assert seen.float().mean(1).min() > LEAST_OVERLAP / 3


def test_jpeg_is_what_pillow_makes_of_grey_pictures() -> None:
    rng = np.random.default_rng(0)
    grey = np.asarray(
        Image.fromarray(rng.integers(0, 255, (6, 7)).astype(np.uint8)).resize((56, 48))
    )
    for quality in (30, 80):
        file = io.BytesIO()
        Image.fromarray(grey).save(file, "JPEG", quality=quality)
        expected = np.asarray(Image.open(file)).astype(float)
        image = torch.as_tensor(grey / 255).float().expand(1, 3, -1, -1)
        ours = jpeg(image, torch.tensor([float(quality)]))[0, 0].numpy() * 255
        assert np.abs(ours - expected).mean() < 0.7
        assert np.abs(grey - expected).mean() > 3 * np.abs(ours - expected).mean()


def test_photographs_stay_in_range_and_differ() -> None:
    image = torch.rand(6, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    a, b = (photograph(image, np.random.default_rng(s)) for s in (0, 1))
    assert a.shape == image.shape
    assert float(a.min()) >= 0
    assert float(a.max()) <= 1
    assert float((a - b).abs().mean()) > 0.02
    assert torch.equal(a, photograph(image, np.random.default_rng(0)))


def test_a_damaged_shard_is_left_out(
    tmp_path: Path, shard: Shard, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    save_shard(good, shard)
    bad.write_bytes(good.read_bytes()[:5000])
    assert len(load_shards([bad, good]).image) == 3
    assert "bad.npz" in caplog.text
    with pytest.raises(InputError, match="none of its 1 shards"):
        load_shards([bad])
