"""One view with smooth edges: four rays a pixel where one would show stairs."""

from __future__ import annotations

import torch

from vggt_sfm.training.rendering.shade import shade
from vggt_sfm.training.rendering.trace import Rays, camera_rays, first_hits, known_depth
from vggt_sfm.training.scenes.description import SceneBatch
from vggt_sfm.training.textures import TextureBank

_CONTRAST = 0.06  # to a neighbouring pixel
_OFFSETS = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))  # px


def render_smooth(
    scene: SceneBatch,
    bank: TextureBank,
    cam_from_world: torch.Tensor,
    intrinsics: torch.Tensor,
    height: int,
    width: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Render one view.

    Args:
        scene: One scene.
        bank: Its textures.
        cam_from_world: (3, 4) OpenCV axes.
        intrinsics: (3, 3) K, px, corner origin.
        height: Image height, px.
        width: Image width, px.

    Returns:
        (H, W, 3) colour in [0, 1], as if rendered at twice the size and averaged, and (H, W)
        depth at the pixel centres, scene units, 0 = sky.
    """
    rays = camera_rays(cam_from_world[None, None], intrinsics[None, None], height, width)
    hits = first_hits(scene, rays)
    color = shade(scene, bank, rays, hits, intrinsics[None, None])
    rough = _contrast(color.view(height, width, 3)).flatten().nonzero()[:, 0]
    if len(rough):
        parts = _split(rays, rough, width)
        twice = torch.cat([2 * intrinsics[:2], intrinsics[2:]])[None, None]
        fine = shade(scene, bank, parts, first_hits(scene, parts), twice)
        color[rough] = fine.view(len(_OFFSETS), -1, 3).mean(0)
    return color.view(height, width, 3), known_depth(scene, hits).view(height, width)


def _contrast(color: torch.Tensor) -> torch.Tensor:
    """Pixels (H, W) that differ from a neighbour."""
    result = torch.zeros(color.shape[:2], dtype=torch.bool, device=color.device)
    across = color.diff(dim=1).abs().amax(-1) > _CONTRAST
    down = color.diff(dim=0).abs().amax(-1) > _CONTRAST
    result[:, 1:] |= across
    result[:, :-1] |= across
    result[1:] |= down
    result[:-1] |= down
    return result


def _split(rays: Rays, rows: torch.Tensor, width: int) -> Rays:
    """Four rays for each of some rays of one camera."""
    start = rays.direction
    right, down = start[1] - start[0], start[width] - start[0]
    parts = [start[rows] + x * right + y * down for x, y in _OFFSETS]
    return Rays(
        scene=rays.scene,
        origin=rays.origin,
        direction=torch.cat(parts),
        pixels=len(_OFFSETS) * len(rows),
    )
