"""Render the training pool: ``python -m vggt_sfm.training.render_pool POOL --textures DIR``."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch

from vggt_sfm._checks import UInt8
from vggt_sfm.errors import InputError
from vggt_sfm.models.choice import Device
from vggt_sfm.models.device import select_device
from vggt_sfm.training.arrays import load_arrays, save_arrays
from vggt_sfm.training.commands import one_line_errors
from vggt_sfm.training.pool import render_shard, save_shard
from vggt_sfm.training.seeds import FIRST_VALIDATION_SEED
from vggt_sfm.training.textures import (
    TextureBank,
    photographic_textures,
    picture_files,
    procedural_textures,
)

SCENES = 64
VIEWS = 6
SIDE = 256
PHOTOGRAPHIC = 2600
PROCEDURAL = 400
VALIDATION_SHARE = 0.12


def texture_sets(folder: Path | None, seed: int = 0) -> tuple[UInt8, UInt8]:
    """Return the training and the held-out textures, each (T, 256, 256, 3).

    No picture of the folder gives textures to both.

    Raises:
        InputError: If no picture gives a texture.
    """
    rng = np.random.default_rng(seed)
    held_out = round(VALIDATION_SHARE * PROCEDURAL)
    procedural = procedural_textures(PROCEDURAL, rng)
    sets = [procedural[held_out:]], [procedural[:held_out]]
    if folder is not None:
        files = picture_files(folder)
        if not files:
            raise InputError(f"{folder}: no picture in it")
        order = rng.permutation(len(files))
        few = max(1, round(VALIDATION_SHARE * len(files)))
        for chosen, mine, share in (
            (order[few:], sets[0], 1 - VALIDATION_SHARE),
            (order[:few], sets[1], VALIDATION_SHARE),
        ):
            count = round(share * PHOTOGRAPHIC)
            mine.append(photographic_textures([files[n] for n in chosen], count, rng))
    return np.concatenate(sets[0]), np.concatenate(sets[1])


@click.command()
@click.argument("pool", type=click.Path(path_type=Path))
@click.option(
    "--textures", type=click.Path(path_type=Path, exists=True), help="Folder of photographs."
)
@click.option(
    "--shards", default=26, show_default=True, help=f"Training shards of {SCENES} scenes."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
def main(pool: Path, textures: Path | None, shards: int, device: Device) -> None:
    """Render training shards and one validation shard; existing ones are kept."""
    with one_line_errors():
        render_pool(pool, textures, shards, select_device(device))


def render_pool(pool: Path, textures: Path | None, shards: int, device: torch.device) -> None:
    """Render what a pool lacks.

    Args:
        pool: Folder of shards.
        textures: Folder of photographs; None: procedural textures alone.
        shards: Number of training shards.
        device: Where to render.

    Raises:
        InputError: If no texture can be made of the photographs.
    """
    pool.mkdir(parents=True, exist_ok=True)
    cached = pool / "textures.npz"
    if not cached.exists():
        train, held_out = texture_sets(textures)
        save_arrays(cached, train=train, held_out=held_out)
    if device.type == "cpu":
        torch.set_num_threads(1)  # two shards on two cores are faster than one on both
    kept = load_arrays(cached, ("train", "held_out"), "a pool's textures")
    banks = {
        "train": TextureBank(kept["train"], device),
        "val": TextureBank(kept["held_out"], device),
    }
    jobs = [("val", FIRST_VALIDATION_SEED)] + [("train", seed) for seed in range(shards)]
    for name, seed in jobs:
        path = pool / f"{name}-{seed:07d}.npz"
        if path.exists():
            continue
        save_shard(path, render_shard(banks[name], SCENES, VIEWS, SIDE, seed))
        click.echo(f"{path.name}: {SCENES} scenes of {VIEWS} views", err=True)


if __name__ == "__main__":
    main()
