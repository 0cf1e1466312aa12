"""Pools of rendered views on disk."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from vggt_sfm._checks import Float64, Int64, UInt8
from vggt_sfm._log import get_logger
from vggt_sfm.training.arrays import load_record, readable, save_record
from vggt_sfm.training.textures import TextureBank
from vggt_sfm.training.views import random_views

_log = get_logger(__name__)
_FARTHEST = 6e4  # float16 ends there


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Shard:
    """Views of N scenes."""

    image: UInt8  # (N, V, H, W, 3)
    depth: np.ndarray  # (N, V, H, W) float16, 0 = sky
    cam_from_world: Float64  # (N, V, 3, 4)
    intrinsics: Float64  # (N, V, 3, 3) px
    overlap: Float64  # (N, V, V) share of a view's pixels that another view sees


def render_shard(
    bank: TextureBank,
    scenes: int,
    views: int,
    side: int,
    seed: int,
    *,
    kind: str | None = None,
    style: str | None = None,
) -> Shard:
    """Render a shard; the seed decides everything.

    Args:
        bank: Textures.
        scenes: How many.
        views: Of each scene.
        side: Of the square images, px.
        seed: Of all that is random.
        kind: Of the scenes; by chance if None.
        style: Of the cameras; by chance if None.
    """
    rng = np.random.default_rng(seed)
    drawn = [random_views(bank, views, side, rng, kind=kind, style=style) for _ in range(scenes)]
    return Shard(
        image=np.stack([(v.image * 255).round().byte().cpu().numpy() for v in drawn]),
        depth=np.stack([v.depth.clamp(max=_FARTHEST).half().cpu().numpy() for v in drawn]),
        cam_from_world=np.stack([v.cameras.cam_from_world for v in drawn]),
        intrinsics=np.stack([v.cameras.intrinsics for v in drawn]),
        overlap=np.stack([v.overlap for v in drawn]),
    )


def save_shard(path: Path, shard: Shard) -> None:
    """Write a shard as .npz, atomically."""
    save_record(path, shard)


def load_shard(path: Path) -> Shard:
    """Read a shard written by :func:`save_shard`.

    Raises:
        InputError: If the file is damaged.
    """
    return load_record(path, Shard, "a shard of rendered views")


def load_shards(paths: list[Path]) -> Shard:
    """Read shards and join them; damaged ones are skipped with a warning.

    Raises:
        InputError: If none can be read.
    """
    loaded = readable(paths, load_shard)
    return Shard(
        **{f.name: np.concatenate([getattr(s, f.name) for s in loaded]) for f in fields(Shard)}
    )


def colors(
    shard: Shard, scene: Int64 | int, views: Int64, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return the images of some views, (…, 3, H, W) in [0, 1]."""
    image = torch.as_tensor(shard.image[scene, views], device=device)
    return image.float().movedim(-1, -3) / 255


def depths(
    shard: Shard, scene: Int64 | int, views: Int64, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return the depth of some views, (…, H, W), 0 = sky."""
    return torch.as_tensor(shard.depth[scene, views].astype(np.float32), device=device)
