"""A picture to look at: views of every kind of scene, with the depth of the first beside them.

``python -m vggt_sfm.training.contact_sheet SHEET.png [--textures FOLDER] [--photographed]``
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

from vggt_sfm._checks import UInt8
from vggt_sfm.training.commands import one_line_errors
from vggt_sfm.training.photograph import photograph
from vggt_sfm.training.scenes.draw import KINDS
from vggt_sfm.training.textures import (
    TextureBank,
    photographic_textures,
    picture_files,
    procedural_textures,
)
from vggt_sfm.training.views import Views, random_views

_TEXTURES = 200
_NEAREST = 0.3  # units of length; depth is shown as its inverse


def contact_sheet(
    bank: TextureBank, views: int, side: int, seed: int, *, photographed: bool
) -> UInt8:
    """Render a row of views and a depth map for each kind of scene, (kinds · side, …, 3)."""
    rows = []
    for number, kind in enumerate(KINDS):
        rng = np.random.default_rng([seed, number])
        drawn = random_views(bank, views, side, rng, kind=kind)
        image = drawn.image.permute(0, 3, 1, 2)
        if photographed:
            image = photograph(image, rng)
        pixels = (image.permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy()
        rows.append(np.concatenate([*pixels, _depth_picture(drawn)], axis=1))
    return np.concatenate(rows)


def _depth_picture(views: Views) -> UInt8:
    depth = views.depth[0].cpu()
    near = torch.where(depth > 0, _NEAREST / depth.clamp(min=_NEAREST), 0.0)
    grey = (255 * near / near.max()).byte().numpy()
    return np.repeat(grey[..., None], 3, axis=-1)


@click.command()
@click.argument("sheet", type=click.Path(path_type=Path))
@click.option("--textures", type=click.Path(path_type=Path, exists=True), help="Photographs.")
@click.option("--views", default=6, show_default=True)
@click.option("--side", default=160, show_default=True, help="Of each view, px.")
@click.option("--seed", default=0, show_default=True)
@click.option("--photographed", is_flag=True, help="With exposure, blur, noise and JPEG.")
def main(
    sheet: Path, textures: Path | None, views: int, side: int, seed: int, photographed: bool
) -> None:
    """Write a contact sheet of the scene engine."""
    with one_line_errors():
        rng = np.random.default_rng(seed)
        found = (
            procedural_textures(_TEXTURES, rng)
            if textures is None
            else photographic_textures(picture_files(textures), _TEXTURES, rng)
        )
        pixels = contact_sheet(TextureBank(found), views, side, seed, photographed=photographed)
        Image.fromarray(pixels).save(sheet)


if __name__ == "__main__":
    main()
