"""Textures from folders of all sorts of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vggt_sfm.errors import InputError
from vggt_sfm.training import render_pool
from vggt_sfm.training.textures import (
    SIDE,
    TextureBank,
    photographic_textures,
    picture_files,
    procedural_textures,
)

RNG = np.random.default_rng(0)


def picture(path: Path, side: int = 200, level: int = 120, spread: int = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = RNG.integers(level - spread, level + spread + 1, (20, 20, 3)).astype(np.uint8)
    Image.fromarray(coarse).resize((side, side)).save(path)
    return path


def test_pictures_are_found_and_other_files_are_not(tmp_path: Path) -> None:
    good = [picture(tmp_path / "walls" / "brick.png"), picture(tmp_path / "floor.JPG")]
    picture(tmp_path / "walls" / "brick_normal.png")
    picture(tmp_path / "icons" / "thing.png")
    (tmp_path / "readme.txt").write_text("no picture")
    assert picture_files(tmp_path) == sorted(good)


def test_dark_flat_small_transparent_and_broken_pictures_give_nothing(tmp_path: Path) -> None:
    files = [
        picture(tmp_path / "dark.png", level=12, spread=8),
        picture(tmp_path / "flat.png", spread=1),
        picture(tmp_path / "small.png", side=60),
    ]
    clear = Image.new("RGBA", (200, 200), (200, 40, 40, 0))
    clear.save(tmp_path / "clear.png")
    (tmp_path / "broken.png").write_bytes(b"no picture at all")
    with pytest.raises(InputError, match="none of 5 pictures"):
        photographic_textures(
            [*files, tmp_path / "clear.png", tmp_path / "broken.png"],
            5,
            np.random.default_rng(0),
        )


def test_dim_pictures_are_lit_and_the_count_is_kept(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{n}.png", level=45, spread=30) for n in range(3)]
    found = photographic_textures(files, 4, np.random.default_rng(1))
    assert found.shape == (4, SIDE, SIDE, 3)
    assert found.mean() > 60


def test_no_picture_is_trained_on_and_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_pool, "PROCEDURAL", 10)
    monkeypatch.setattr(render_pool, "PHOTOGRAPHIC", 40)
    for n in range(10):
        # each picture has its own red
        pixels = RNG.integers(150, 255, (200, 200, 3)).astype(np.uint8)
        pixels[..., 0] = 20 * n + 30
        Image.fromarray(pixels).save(tmp_path / f"{n}.png")
    train, held_out = render_pool.texture_sets(tmp_path)
    reds = [{int(t[..., 0].mean()) for t in s if t[..., 0].std() < 1} for s in (train, held_out)]
    assert len(reds[0]) == 9
    assert len(reds[1]) == 1
    assert not reds[0] & reds[1]


def test_textures_wrap_and_blur_with_distance() -> None:
    bank = TextureBank(procedural_textures(8, np.random.default_rng(0)))
    uv = torch.rand(50, 2, generator=torch.Generator().manual_seed(3))
    index = torch.zeros(50, dtype=torch.long)
    near = bank.sample(index, uv, torch.ones(50))
    np.testing.assert_allclose(bank.sample(index, uv + 3, torch.ones(50)), near, atol=2e-3)
    far = bank.sample(index, uv, torch.full((50,), float(SIDE)))
    assert far.std(0).mean() < 0.3 * near.std(0).mean()
