"""Ground as a field of heights, met by marching along the rays."""

from __future__ import annotations

import torch

from vggt_sfm.training.rendering.solids import FAR, NEAR

_STEPS = 56
_BISECTIONS = 7
_FIRST_STEP = 0.15


def ground_y(
    heights: torch.Tensor, scene: torch.Tensor, x: torch.Tensor, z: torch.Tensor, half: torch.Tensor
) -> torch.Tensor:
    """Height of the ground in the terrain's frame, (n,), y down.

    Args:
        heights: (B, G, G) from 0 to 1, rows along z.
        scene: (n,) which of the B each place belongs to.
        x: (n,) places.
        z: (n,) places.
        half: (n, 3) half sizes of each place's terrain; beyond them its border goes on.
    """
    side = heights.shape[-1]
    column = ((x / half[:, 0] + 1) / 2 * (side - 1)).clamp(0, side - 1.001)
    row = ((z / half[:, 2] + 1) / 2 * (side - 1)).clamp(0, side - 1.001)
    c, r = column.long(), row.long()
    fx, fz = column - c, row - r
    flat = heights.flatten()
    base = scene * (side * side) + r * side + c
    top = torch.lerp(flat[base], flat[base + 1], fx)
    low = torch.lerp(flat[base + side], flat[base + side + 1], fx)
    return half[:, 1] * (1 - 2 * torch.lerp(top, low, fz))


def terrain_distance(
    heights: torch.Tensor, scene: torch.Tensor, o: torch.Tensor, d: torch.Tensor, half: torch.Tensor
) -> torch.Tensor:
    """Ray lengths (n,) to the ground; ``FAR`` where a ray stays above it.

    Args:
        heights: (B, G, G).
        scene: (n,).
        o: (n, 3) origins in the terrain's frame.
        d: (n, 3) directions.
        half: (n, 3) half sizes.
    """

    def below(t: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
        p = o[rays] + t[:, None] * d[rays]
        return p[:, 1] > ground_y(heights, scene[rays], p[:, 0], p[:, 2], half[rays])

    # from above its highest place, rays that do not fall meet nothing
    rays = ((o[:, 1] > -half[:, 1]) | (d[:, 1] > 0)).nonzero()[:, 0]
    found = torch.full((len(o),), FAR, device=o.device)
    before = torch.full_like(found, NEAR)
    end = 2.5 * half[:, 0]
    growth = (end / _FIRST_STEP) ** (1 / _STEPS)
    t = torch.full_like(found, _FIRST_STEP)
    for _ in range(_STEPS):
        hit = below(t[rays], rays)
        found[rays[hit]] = t[rays[hit]]
        rays = rays[~hit]
        before[rays] = t[rays]
        t[rays] *= growth[rays]
    hits = (found < FAR).nonzero()[:, 0]
    low, high = before[hits], found[hits]
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        under = below(middle, hits)
        low, high = torch.where(under, low, middle), torch.where(under, middle, high)
    found[hits] = high
    return found


def terrain_normal(
    heights: torch.Tensor, scene: torch.Tensor, local: torch.Tensor, half: torch.Tensor
) -> torch.Tensor:
    """Unit normals (n, 3) of the ground at (n, 3) places, by differences."""
    step = half[:, 0] / heights.shape[-1] * 0.5
    x, z = local[:, 0], local[:, 2]
    slope_x = ground_y(heights, scene, x + step, z, half) - ground_y(
        heights, scene, x - step, z, half
    )
    slope_z = ground_y(heights, scene, x, z + step, half) - ground_y(
        heights, scene, x, z - step, half
    )
    normal = torch.stack([slope_x, -2 * step, slope_z], -1)
    return torch.nn.functional.normalize(normal, dim=-1)
