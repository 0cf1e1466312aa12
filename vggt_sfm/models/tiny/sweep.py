"""What other frames show where a cell would be seen if it lay at one depth or another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from vggt_sfm._checks import Float64
from vggt_sfm.models.tiny.network import COARSE
from vggt_sfm.models.tiny.relative import Edge

HYPOTHESES = 32  # depths of each cell
_REACH = 1.2  # of the logarithm of depth, to either side of what is tried around
_PARTNERS = 4  # other frames that are asked
_AGREEING = 2  # of them, the most alike at each depth, are believed: others see what is in front
_NEAREST = 1e-3  # of the depth that is tried around


def sweep(
    coarse: torch.Tensor,
    around: torch.Tensor,
    cam_from_world: torch.Tensor,
    intrinsics: torch.Tensor,
    links: Float64,
) -> torch.Tensor:
    """Compare each cell with what its frame's partners show along its ray.

    Plane sweeping (Collins, "A space-sweep approach to true multi-image matching", CVPR 1996),
    with depths of its own for each cell.

    Args:
        coarse: (S, D, h, w) unit descriptors of cells of 8 px.
        around: (S, r, c) log depth around which depths are tried, scene units, in a coarser grid.
        cam_from_world: (S, 3, 4).
        intrinsics: (S, 3, 3) px of images of 8h × 8w.
        links: (S, S) how much frames have in common; 0: not to be asked.

    Returns:
        (S, HYPOTHESES, r, c) cosines, from the nearest depth to the farthest; 0 where no partner
        sees the place.
    """
    rows, columns = around.shape[1:]
    own = nn.functional.adaptive_avg_pool2d(coarse, (rows, columns))
    own = nn.functional.normalize(own, dim=1).flatten(2).transpose(1, 2)  # (S, P, D)
    size = torch.tensor([coarse.shape[3] * COARSE, coarse.shape[2] * COARSE]).to(coarse)
    rays = _cell_centers(rows, columns).to(coarse) * torch.cat([size, size.new_ones(1)])
    tried = (around.flatten(1)[..., None] + _offsets().to(around)).exp()  # (S, P, HYPOTHESES)
    result = []
    for s, others in enumerate(partners(links)):
        pose = cam_from_world[s]
        ray = rays @ torch.linalg.inv(intrinsics[s]).T
        world = (ray[:, None] * tried[s][..., None] - pose[:, 3]) @ pose[:, :3]
        seen = [
            _cosines(own[s], coarse[p], _project(world, cam_from_world[p], intrinsics[p], size))
            for p in others
        ]
        best = _most_alike(seen) if seen else torch.zeros_like(tried[s])
        result.append(best.T.reshape(HYPOTHESES, rows, columns))
    return torch.stack(result)


def shared_matches(edges: Sequence[Edge], frames: int) -> Float64:
    """Count the verified matches between any two of S frames, (S, S)."""
    result = np.zeros((frames, frames))
    for e in edges:
        result[e.i, e.j] = result[e.j, e.i] = e.weight
    return result


def _offsets() -> torch.Tensor:
    return torch.linspace(-_REACH, _REACH, HYPOTHESES)


def _cell_centers(rows: int, columns: int) -> torch.Tensor:
    """(P, 3) homogeneous positions from 0 to 1."""
    y = (torch.arange(rows) + 0.5) / rows
    x = (torch.arange(columns) + 0.5) / columns
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)], -1).flatten(0, 1)


def partners(links: Float64) -> list[list[int]]:
    """For each of S frames, the few others that it has most in common with, by (S, S) links."""
    others = links * (1 - np.eye(len(links)))
    order = np.argsort(-others, axis=1, kind="stable")[:, :_PARTNERS]
    return [[int(p) for p in row if others[s, p] > 0] for s, row in enumerate(order)]


def _project(
    world: torch.Tensor, pose: torch.Tensor, K: torch.Tensor, size: torch.Tensor
) -> torch.Tensor:
    """Project (P, N, 3) points to (P, N, 2) positions from 0 to 1; NaN where they are not seen."""
    camera = world @ pose[:, :3].T + pose[:, 3]
    z = camera[..., 2:]
    at = (camera @ K.T)[..., :2] / z.clamp(min=_NEAREST) / size
    inside = (z > _NEAREST) & (at > 0).all(-1, keepdim=True) & (at < 1).all(-1, keepdim=True)
    return torch.where(inside, at, torch.nan)


def _cosines(own: torch.Tensor, other: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Compare (P, D) cells with a (D, h, w) map at (P, N, 2): (P, N), 0 where that is NaN."""
    # all cells with all cells, then the few that are asked for: far less to move about
    alike = (own @ other.flatten(1)).reshape(len(own), 1, *other.shape[1:])
    grid = (at * 2 - 1).nan_to_num(-2.0)[:, None]
    sampled = nn.functional.grid_sample(alike, grid, align_corners=False)
    return torch.where(at[..., 0].isfinite(), sampled[:, 0, 0], 0.0)


def _most_alike(seen: list[torch.Tensor]) -> torch.Tensor:
    stacked = torch.stack(seen)
    return stacked.topk(min(_AGREEING, len(seen)), dim=0).values.mean(0)
