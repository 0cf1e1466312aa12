"""Training pairs of views, drawn from a pool."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vggt_sfm._checks import Int64
from vggt_sfm.errors import InputError
from vggt_sfm.training.photograph import photograph
from vggt_sfm.training.pool import Shard, colors, depths
from vggt_sfm.training.warp import Geometry

LEAST_OVERLAP = 0.08  # share of the first view's pixels that the second one sees
_HARD_SHARE = 0.5  # of pairs that are drawn among those of little overlap
_LITTLE = 0.4


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PairBatch:
    """B pairs of views with exact geometry."""

    image: torch.Tensor  # (B, 2, 3, H, W) in [0, 1]
    depth: torch.Tensor  # (B, 2, H, W), 0 = sky
    cam_from_world: torch.Tensor  # (B, 2, 3, 4)
    intrinsics: torch.Tensor  # (B, 2, 3, 3) px

    def geometry(self, view: int) -> Geometry:
        """Depth and cameras of the first (0) or the second (1) views."""
        return Geometry(
            depth=self.depth[:, view],
            cam_from_world=self.cam_from_world[:, view],
            intrinsics=self.intrinsics[:, view],
        )


def draw_pairs(
    shard: Shard,
    count: int,
    side: int,
    rng: np.random.Generator,
    device: torch.device | str = "cpu",
) -> PairBatch:
    """Draw pairs of views that overlap, randomly mirrored, cut to ``side`` px.

    Raises:
        InputError: If there are none, as in scenes with one camera.
    """
    scenes, views = _overlapping(shard, count, rng)
    image, depth = colors(shard, scenes, views, device), depths(shard, scenes, views, device)
    pose = torch.as_tensor(shard.cam_from_world[scenes, views], device=device).float()
    K = torch.as_tensor(shard.intrinsics[scenes, views], device=device).float()
    image, depth, K = crop(image, depth, K, side, rng)
    if rng.random() < 0.5:
        image, depth, pose, K = mirror(image, depth, pose, K)
    flat = photograph(image.flatten(0, 1), rng)
    return PairBatch(
        image=flat.reshape(image.shape), depth=depth, cam_from_world=pose, intrinsics=K
    )


def _overlapping(shard: Shard, count: int, rng: np.random.Generator) -> tuple[Int64, Int64]:
    """Scenes (count, 1) and views (count, 2) of pairs that see enough of the same surface."""
    views = shard.overlap.shape[1]
    usable = (shard.overlap > LEAST_OVERLAP) & ~np.eye(views, dtype=bool)
    if not usable.any():
        raise InputError("none of the scenes in memory has two views that see the same")
    hard = usable & (shard.overlap < _LITTLE)
    chosen = []
    for few in rng.random(count) < _HARD_SHARE:
        candidates = np.argwhere(hard if few and hard.any() else usable)
        chosen.append(candidates[rng.integers(len(candidates))])
    rows = np.stack(chosen)
    return rows[:, :1], rows[:, 1:]


def crop(
    image: torch.Tensor,
    depth: torch.Tensor,
    K: torch.Tensor,
    side: int,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Shrink to ``side`` px (sharper views) or cut a window at full scale (longer focal).

    Args:
        image: (B, V, 3, H, H).
        depth: (B, V, H, H).
        K: (B, V, 3, 3) px.
        side: Of the result, px.
        rng: Decides which, and where; for all images alike.

    Returns:
        The same three, of the new size.
    """
    full = image.shape[-1]
    K = K.clone()
    if full == side:
        return image, depth, K
    # anything between the whole view and a window at full scale
    window = int(rng.integers(side, full + 1)) if rng.random() < 0.5 else full
    x, y = (int(v) for v in rng.integers(0, full - window + 1, 2))
    part = (..., slice(y, y + window), slice(x, x + window))
    image, depth = image[part], depth[part]
    K[..., 0, 2] -= x
    K[..., 1, 2] -= y
    if window == side:
        return image, depth, K
    flat = torch.nn.functional.interpolate(
        image.flatten(0, 1), (side, side), mode="bilinear", antialias=True, align_corners=False
    )
    # nearest depth lies at the same place only when sampled at the new pixel centres
    at = ((torch.arange(side, device=depth.device) + 0.5) * (window / side)).long()
    K[..., :2, :] *= side / window
    return flat.reshape(*image.shape[:3], side, side), depth[..., at[:, None], at], K


def mirror(
    image: torch.Tensor, depth: torch.Tensor, pose: torch.Tensor, K: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Flip left and right: the world is mirrored in x, so poses stay rigid."""
    K = K.clone()
    K[..., 0, 2] = image.shape[-1] - K[..., 0, 2]
    flip = torch.tensor([-1.0, 1.0, 1.0], device=pose.device)
    pose = torch.cat([pose[..., :3] * flip[:, None] * flip, pose[..., 3:] * flip[:, None]], -1)
    return image.flip(-1), depth.flip(-1), pose, K
