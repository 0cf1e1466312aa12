"""Pools of rendered views on disk, and training pairs drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vggt_sfm._checks import Float64, Int64, UInt8
from vggt_sfm._log import get_logger
from vggt_sfm.training.render import render
from vggt_sfm.training.scenes import (
    random_cameras,
    random_intrinsics,
    random_scene,
    stack_scenes,
)
from vggt_sfm.training.textures import TextureBank

_log = get_logger(__name__)

MIN_MEDIAN_DEPTH = 0.5
MIN_OVERLAP = 0.12  # share of the first view's pixels that the second one sees
PROBE_PX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Views of N scenes."""

    image: UInt8  # (N, V, H, W, 3)
    depth: np.ndarray  # (N, V, H, W) float16, 0 = sky
    cam_from_world: Float64  # (N, V, 3, 4)
    intrinsics: Float64  # (N, V, 3, 3) px


def render_shard(bank: TextureBank, scenes: int, views: int, side: int, seed: int) -> Shard:
    """Render a shard; the seed decides everything."""
    rng = np.random.default_rng(seed)
    images: list[UInt8] = []
    depths, poses, intrinsics = [], [], []
    while len(images) < scenes:
        scene = random_scene(rng, bank.count)
        cameras = random_cameras(scene, views, rng)
        K = np.tile(random_intrinsics(side, rng), (views, 1, 1))
        color, depth = render(
            stack_scenes([scene]),
            bank,
            torch.as_tensor(cameras, dtype=torch.float32)[None],
            torch.as_tensor(K, dtype=torch.float32)[None],
            side,
            side,
        )
        seen = [float(d[d > 0].median()) if bool((d > 0).any()) else 0.0 for d in depth[0]]
        if min(seen) < MIN_MEDIAN_DEPTH or float((depth > 0).float().mean()) < 0.3:
            continue
        images.append((color[0] * 255).round().byte().numpy())
        depths.append(depth[0].clamp(max=6e4).half().numpy())
        poses.append(cameras)
        intrinsics.append(K)
    return Shard(
        image=np.stack(images),
        depth=np.stack(depths),
        cam_from_world=np.stack(poses),
        intrinsics=np.stack(intrinsics),
    )


def save_shard(path: Path, shard: Shard) -> None:
    """Write a shard as .npz, atomically."""
    temporary = path.with_suffix(".tmp.npz")
    np.savez(
        temporary,
        image=shard.image,
        depth=shard.depth,
        cam_from_world=shard.cam_from_world,
        intrinsics=shard.intrinsics,
    )
    temporary.replace(path)


def load_shard(path: Path) -> Shard:
    """Read a shard written by :func:`save_shard`."""
    with np.load(path) as data:
        return Shard(
            image=data["image"],
            depth=data["depth"],
            cam_from_world=data["cam_from_world"],
            intrinsics=data["intrinsics"],
        )


def augment(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Change exposure, colour, sharpness and noise of (B, 3, H, W) images, each on its own."""
    count = len(image)

    def draw(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.as_tensor(rng.uniform(low, high, (count, *shape)), dtype=torch.float32)

    gamma = draw(-0.45, 0.45, 1, 1, 1).exp()
    gain = draw(0.7, 1.25, 1, 1, 1) * draw(0.9, 1.1, 3, 1, 1)
    image = (image.clamp(1e-3, 1) ** gamma) * gain
    grey = image.mean(1, keepdim=True)
    image = torch.lerp(grey, image, draw(0.0, 1.2, 1, 1, 1))
    contrast = draw(0.7, 1.3, 1, 1, 1)
    mean = image.mean((1, 2, 3), keepdim=True)
    image = (image - mean) * contrast + mean + draw(-0.06, 0.06, 1, 1, 1)
    blurred = torch.nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
    image = torch.lerp(image, blurred, (draw(-0.6, 1.0, 1, 1, 1)).clamp(min=0))
    noise = torch.as_tensor(rng.standard_normal(image.shape, dtype=np.float32))
    return (image + noise * draw(0, 0.03, 1, 1, 1)).clamp(0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBatch:
    """B pairs of views with exact geometry."""

    image: torch.Tensor  # (B, 2, 3, H, W) in [0, 1]
    depth: torch.Tensor  # (B, 2, H, W), 0 = sky
    cam_from_world: torch.Tensor  # (B, 2, 3, 4)
    intrinsics: torch.Tensor  # (B, 2, 3, 3) px


def draw_pairs(shard: Shard, count: int, side: int, rng: np.random.Generator) -> PairBatch:
    """Draw pairs of views that overlap, randomly mirrored, cut to ``side`` px."""
    scenes, views = _overlapping(shard, count, rng)
    image = torch.as_tensor(shard.image[scenes, views]).float() / 255
    depth = torch.as_tensor(shard.depth[scenes, views].astype(np.float32))
    pose = torch.as_tensor(shard.cam_from_world[scenes, views]).float()
    K = torch.as_tensor(shard.intrinsics[scenes, views]).float()
    image, depth, K = _crop(image.permute(0, 1, 4, 2, 3), depth, K, side, rng)
    if rng.random() < 0.5:
        image, depth, pose, K = _mirror(image, depth, pose, K)
    flat = augment(image.flatten(0, 1), rng)
    return PairBatch(
        image=flat.reshape(image.shape), depth=depth, cam_from_world=pose, intrinsics=K
    )


def _overlapping(shard: Shard, count: int, rng: np.random.Generator) -> tuple[Int64, Int64]:
    """Scenes (count, 1) and views (count, 2) of pairs that see enough of the same surface."""
    candidates = 4 * count
    scenes = rng.integers(0, len(shard.image), (candidates, 1))
    total = shard.image.shape[1]
    first = rng.integers(0, total, candidates)
    hop = np.clip(rng.geometric(0.45, candidates), 1, total - 1)
    views = np.stack([first, (first + hop) % total], 1)
    depth = torch.as_tensor(shard.depth[scenes, views].astype(np.float32))
    geometry = PairBatch(
        image=depth[:, :, None],
        depth=depth,
        cam_from_world=torch.as_tensor(shard.cam_from_world[scenes, views]).float(),
        intrinsics=torch.as_tensor(shard.intrinsics[scenes, views]).float(),
    )
    steps = torch.arange(PROBE_PX // 2, depth.shape[-1], PROBE_PX) + 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    probes = torch.stack([x, y], -1).reshape(1, -1, 2).expand(candidates, -1, -1)
    overlap = warp(geometry, probes, 0)[1].float().mean(1).numpy()
    best = np.argsort(overlap < MIN_OVERLAP, kind="stable")[:count]
    return scenes[best], views[best]


def _crop(
    image: torch.Tensor,
    depth: torch.Tensor,
    K: torch.Tensor,
    side: int,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Shrink to ``side`` px (sharper views) or cut a window at full scale (longer focal)."""
    full = image.shape[-1]
    K = K.clone()
    if full == side:
        return image, depth, K
    if rng.random() < 0.6:
        flat = torch.nn.functional.interpolate(
            image.flatten(0, 1), (side, side), mode="bilinear", antialias=True, align_corners=False
        )
        # nearest depth lies at the same place only when sampled at the new pixel centres
        at = ((torch.arange(side) + 0.5) * (full / side)).long()
        K[..., :2, :] *= side / full
        return flat.reshape(*image.shape[:3], side, side), depth[..., at[:, None], at], K
    x, y = (int(v) for v in rng.integers(0, full - side + 1, 2))
    K[..., 0, 2] -= x
    K[..., 1, 2] -= y
    window = (..., slice(y, y + side), slice(x, x + side))
    return image[window], depth[window], K


def _mirror(
    image: torch.Tensor, depth: torch.Tensor, pose: torch.Tensor, K: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Flip left and right: the world is mirrored in x, so poses stay rigid."""
    K = K.clone()
    K[..., 0, 2] = image.shape[-1] - K[..., 0, 2]
    flip = torch.tensor([-1.0, 1.0, 1.0])
    pose = torch.cat([pose[..., :3] * flip[:, None] * flip, pose[..., 3:] * flip[:, None]], -1)
    return image.flip(-1), depth.flip(-1), pose, K


def warp(batch: PairBatch, xy: torch.Tensor, source: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Carry pixels of one view of each pair into the other view.

    Args:
        batch: B pairs.
        xy: (B, n, 2) px in view ``source``, corner origin.
        source: 0 or 1.

    Returns:
        (B, n, 2) px in the other view and (B, n) bool: seen there, not hidden, inside.
    """
    target = 1 - source
    height, width = batch.depth.shape[-2:]
    depth = _at(batch.depth[:, source], xy)
    ones = torch.ones_like(xy[..., :1])
    rays = torch.cat([xy, ones], -1) @ torch.linalg.inv(batch.intrinsics[:, source]).transpose(1, 2)
    pose_s, pose_t = batch.cam_from_world[:, source], batch.cam_from_world[:, target]
    world = (rays * depth[..., None] - pose_s[:, None, :, 3]) @ pose_s[..., :3]
    camera = world @ pose_t[..., :3].transpose(1, 2) + pose_t[:, None, :, 3]
    z = camera[..., 2]
    pixels = camera @ batch.intrinsics[:, target].transpose(1, 2)
    there = pixels[..., :2] / z.clamp(min=1e-3)[..., None]
    inside = (there > 0.5).all(-1) & (there[..., 0] < width - 0.5) & (there[..., 1] < height - 0.5)
    seen = _at(batch.depth[:, target], torch.where(inside[..., None], there, 0.5))
    visible = (z - seen).abs() < 0.02 * z + 0.01
    return there, (depth > 0) & (z > 0.05) & inside & visible


def _at(depth: torch.Tensor, xy: torch.Tensor) -> torch.Tensor:
    """Depth (B, H, W) of the pixel that holds each (B, n, 2) position."""
    height, width = depth.shape[-2:]
    x = xy[..., 0].floor().long().clamp(0, width - 1)
    y = xy[..., 1].floor().long().clamp(0, height - 1)
    return depth.flatten(1).gather(1, y * width + x)


def training_set(shards: list[Path]) -> Shard:
    """Load shards and join them."""
    loaded = [load_shard(p) for p in shards]
    return Shard(
        image=np.concatenate([s.image for s in loaded]),
        depth=np.concatenate([s.depth for s in loaded]),
        cam_from_world=np.concatenate([s.cam_from_world for s in loaded]),
        intrinsics=np.concatenate([s.intrinsics for s in loaded]),
    )
