"""Batched ray casting of scenes: colour and exact depth, the same code on CPU and CUDA."""

from __future__ import annotations

import torch

from vggt_sfm.training.rendering.shade import shade
from vggt_sfm.training.rendering.trace import camera_rays, first_hits, known_depth
from vggt_sfm.training.scenes.description import SceneBatch
from vggt_sfm.training.textures import TextureBank


def render(
    scenes: SceneBatch,
    bank: TextureBank,
    cam_from_world: torch.Tensor,
    intrinsics: torch.Tensor,
    height: int,
    width: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Render V views of each scene.

    Args:
        scenes: B scenes.
        bank: Their textures.
        cam_from_world: (B, V, 3, 4) OpenCV axes.
        intrinsics: (B, V, 3, 3) K, px, corner origin.
        height: Image height, px.
        width: Image width, px.

    Returns:
        (B, V, H, W, 3) colour in [0, 1] and (B, V, H, W) depth along the optical axis, scene
        units; 0 where the ray meets only sky.
    """
    rays = camera_rays(cam_from_world, intrinsics, height, width)
    hits = first_hits(scenes, rays)
    shape = (*cam_from_world.shape[:2], height, width)
    color = shade(scenes, bank, rays, hits, intrinsics)
    return color.reshape(*shape, 3), known_depth(scenes, hits).reshape(shape)


def render_depth(
    scenes: SceneBatch,
    cam_from_world: torch.Tensor,
    intrinsics: torch.Tensor,
    height: int,
    width: int,
) -> torch.Tensor:
    """Depth alone, as :func:`render` gives it."""
    hits = first_hits(scenes, camera_rays(cam_from_world, intrinsics, height, width))
    return known_depth(scenes, hits).reshape(*cam_from_world.shape[:2], height, width)
