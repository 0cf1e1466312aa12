"""Depth of single pixels by sweeping planes: what its cameras alone say, for any way alike.

Source: Collins, A Space-Sweep Approach to True Multi-Image Matching, 1996, with planes parallel to
the photograph and the best views of several, because of occlusion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from vggt_sfm._checks import Float32, Float64
from vggt_sfm.benchmarks.splat_render import Camera
from vggt_sfm.geometry.rigid import invert

_PLANES = 64
_PATCH = 2  # px to each side of the pixel
_NEIGHBOURS, _BEST = 4, 2  # photographs compared with, and how many of them count
_PRIOR = 0.03  # grey values (of 1) that a prior off by the whole range costs
_COVERED = 0.8  # share of a patch that has to lie in the other photograph


def swept_depth(
    camera: Camera,
    image: Float32,
    others: Sequence[tuple[Camera, Float32]],
    pixels: Float64,
    prior: Float64,
    limits: tuple[float, float],
) -> Float64:
    """Find the depths at which other photographs look alike.

    Args:
        camera: Of the photograph that the pixels are of.
        image: (H, W, 3) that photograph, RGB from 0 to 1.
        others: Cameras and photographs to compare with; the nearest ones are taken.
        pixels: (P, 2) xy px.
        prior: (P,) depths that stay where nothing can be compared, and are preferred a little.
        limits: Nearest and farthest depth, scene units.

    Returns:
        (P,) depths along the optical axis, scene units.
    """
    inverse = torch.linspace(1 / limits[1], 1 / limits[0], _PLANES, dtype=torch.float64)
    step = torch.arange(-_PATCH, _PATCH + 1, dtype=torch.float64)
    patch = torch.cartesian_prod(step, step)
    xy = torch.from_numpy(pixels)[:, None] + patch  # (P, Q, 2)
    rays = torch.cat([xy, torch.ones_like(xy[..., :1])], dim=2)
    rays = rays @ torch.from_numpy(np.linalg.inv(camera.intrinsics).T)
    own = _sampled(image, xy, camera)[0]
    costs = [
        _cost(rays, inverse, own, camera, other, photograph)
        for other, photograph in _nearest(camera, others)
    ]
    best = torch.stack(costs).sort(dim=0).values[: min(_BEST, len(costs))].mean(dim=0)  # (D, P)
    off = (inverse[:, None] - 1 / torch.from_numpy(prior)).abs() / (inverse[-1] - inverse[0])
    lowest, plane = (best + _PRIOR * off).min(dim=0)
    found = 1 / inverse[plane]
    return np.where(torch.isfinite(lowest).numpy(), found.numpy(), prior)


def _nearest(
    camera: Camera, others: Sequence[tuple[Camera, Float32]]
) -> list[tuple[Camera, Float32]]:
    center = invert(camera.cam_from_world)[:, 3]

    def distance(other: tuple[Camera, Float32]) -> float:
        return float(np.linalg.norm(invert(other[0].cam_from_world)[:, 3] - center))

    return sorted(others, key=distance)[:_NEIGHBOURS]


def _cost(
    rays: Tensor, inverse: Tensor, own: Tensor, camera: Camera, other: Camera, photograph: Float32
) -> Tensor:
    """(D, P) mean difference of patches less their means, infinite where they are not seen."""
    pose, back = other.cam_from_world, invert(camera.cam_from_world)
    turn = torch.from_numpy(other.intrinsics @ pose[:, :3] @ back[:, :3])
    shift = torch.from_numpy(other.intrinsics @ (pose[:, :3] @ back[:, 3] + pose[:, 3]))
    # x = K (R ray / ρ + t), and its scale does not matter: K R ray + ρ K t
    x = (rays @ turn.T)[None] + inverse[:, None, None, None] * shift  # (D, P, Q, 3)
    xy = x[..., :2] / x[..., 2:].clamp(min=1e-9)
    colors, inside = _sampled(photograph, xy.flatten(0, 1), other)
    colors = colors.view(*xy.shape[:3], 3)
    inside = inside.view(xy.shape[:3]) & (x[..., 2] > 0)
    colors = colors - colors.mean(dim=2, keepdim=True)
    plain = own - own.mean(dim=1, keepdim=True)
    cost = (colors - plain).abs().mean(dim=(2, 3))
    seen = inside.to(cost.dtype).mean(dim=2) >= _COVERED
    return torch.where(seen, cost, torch.inf)


def _sampled(image: Float32, xy: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """(P, Q, 3) colours at (P, Q, 2) xy px, bilinear, and (P, Q) whether that is in the image."""
    size = torch.tensor([camera.width, camera.height], dtype=xy.dtype)
    inside = ((xy > 0) & (xy < size)).all(dim=-1)
    grid = (2 * xy / size - 1).float()[None]  # corner-origin, as align_corners=False has it
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    found = grid_sample(pixels, grid, padding_mode="border", align_corners=False)[0]
    return found.permute(1, 2, 0).double(), inside
