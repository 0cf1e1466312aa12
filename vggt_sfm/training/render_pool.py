"""Render the training pool: ``python -m vggt_sfm.training.render_pool POOL --textures DIR``."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch

from vggt_sfm._checks import UInt8
from vggt_sfm.training.pool import render_shard, save_shard
from vggt_sfm.training.seeds import FIRST_VALIDATION_SEED
from vggt_sfm.training.textures import (
    TextureBank,
    photographic_textures,
    procedural_textures,
)

SCENES = 64
VIEWS = 5
SIDE = 192
PHOTOGRAPHIC = 1400
PROCEDURAL = 300
VALIDATION_SHARE = 0.12


def texture_sets(folder: Path | None, seed: int = 0) -> tuple[UInt8, UInt8]:
    """Return the training and the held-out textures, each (T, 256, 256, 3)."""
    rng = np.random.default_rng(seed)
    procedural = procedural_textures(PROCEDURAL, rng)
    sets = (
        [procedural]
        if folder is None
        else [procedural, photographic_textures(folder, PHOTOGRAPHIC, rng)]
    )
    train = [textures[len(held_out(textures)) :] for textures in sets]
    return np.concatenate(train), np.concatenate([held_out(textures) for textures in sets])


def held_out(textures: UInt8) -> UInt8:
    """Return those of (T, 256, 256, 3) textures that training must not see."""
    return textures[: int(len(textures) * VALIDATION_SHARE)]


@click.command()
@click.argument("pool", type=click.Path(path_type=Path))
@click.option(
    "--textures", type=click.Path(path_type=Path, exists=True), help="Folder of photographs."
)
@click.option("--shards", default=80, show_default=True, help="Training shards of 64 scenes.")
def main(pool: Path, textures: Path | None, shards: int) -> None:
    """Render training shards and one validation shard; existing ones are kept."""
    torch.set_num_threads(1)
    pool.mkdir(parents=True, exist_ok=True)
    cached = pool / "textures.npz"
    if not cached.exists():
        train, held_out = texture_sets(textures)
        np.savez(cached, train=train, held_out=held_out)
    with np.load(cached) as data:
        banks = {"train": TextureBank(data["train"]), "val": TextureBank(data["held_out"])}
    jobs = [("val", FIRST_VALIDATION_SEED)] + [("train", seed) for seed in range(shards)]
    for name, seed in jobs:
        path = pool / f"{name}-{seed:07d}.npz"
        if path.exists():
            continue
        save_shard(path, render_shard(banks[name], SCENES, VIEWS, SIDE, seed))
        click.echo(f"{path.name}: {SCENES} scenes of {VIEWS} views", err=True)


if __name__ == "__main__":
    main()
