"""Depth of the matches of pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vggt_sfm._checks import Bool, Float64
from vggt_sfm.models.tiny.network import COARSE
from vggt_sfm.models.tiny.relative import Edge, normalized, ray_angles_deg, two_view_depths

_MIN_RAY_ANGLE_DEG = 0.6


def depths_by_frame(
    edges: Sequence[Edge], intrinsics: Float64, frames: int
) -> list[list[tuple[int, Float64]]]:
    """For each frame and edge, depth by coarse cell in units of the edge's baseline."""
    result: list[list[tuple[int, Float64]]] = [[] for _ in range(frames)]
    columns = 4096 // COARSE  # any width that no image exceeds
    cell_of = {}
    for number, e in enumerate(edges):
        z_i, z_j, good = edge_depths(e, intrinsics, e.rotation, e.direction)
        for frame, z, xy in ((e.i, z_i, e.xy[:, :2]), (e.j, z_j, e.xy[:, 2:])):
            cell = (xy // COARSE).astype(np.int64) @ np.array([1, columns])
            cell_of[number, frame] = (cell[good], z[good])
            result[frame].append((number, np.empty(0)))
    for frame, seen in enumerate(result):
        cells = [cell_of[number, frame][0] for number, _ in seen]
        if not cells:
            continue
        index = np.unique(np.concatenate(cells))
        filled = []
        for number, _ in seen:
            depth = np.full(len(index), np.nan)
            cell, z = cell_of[number, frame]
            depth[np.searchsorted(index, cell)] = z
            filled.append((number, depth))
        result[frame] = filled
    return result


def edge_depths(
    edge: Edge, intrinsics: Float64, R: Float64, t: Float64
) -> tuple[Float64, Float64, Bool]:
    """Depths of an edge's matches in both cameras and which of them are well defined."""
    rays_i = normalized(edge.xy[:, :2], intrinsics[edge.i])
    rays_j = normalized(edge.xy[:, 2:], intrinsics[edge.j])
    z_i, z_j = two_view_depths(rays_i, rays_j, R, t)
    good = (z_i > 0) & (z_j > 0) & (ray_angles_deg(rays_i, rays_j, R) > _MIN_RAY_ANGLE_DEG)
    return z_i, z_j, good
