"""Sparse depth of all frames from their matches, in the unit of the scene."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vggt_sfm._checks import Float32, Float64
from vggt_sfm.models.tiny.solve import Solution
from vggt_sfm.models.tiny.two_view_depth import edge_depths


class DepthPoints(NamedTuple):
    """What the matches of one frame say of its depth."""

    xy: Float64  # (n, 2) network px
    depth: Float64  # (n,) scene units, above 0


def match_depths(solution: Solution, frames: int) -> list[DepthPoints]:
    """Depth of the verified matches of each of S frames."""
    xy: list[list[Float64]] = [[np.empty((0, 2))] for _ in range(frames)]
    depth: list[list[Float64]] = [[np.empty(0)] for _ in range(frames)]
    for e in solution.edges:
        a, b = solution.cam_from_world[e.i], solution.cam_from_world[e.j]
        R = b[:, :3] @ a[:, :3].T
        t = b[:, 3] - R @ a[:, 3]
        z_i, z_j, good = edge_depths(e, solution.intrinsics, R, t)
        for s, z, at in ((e.i, z_i, e.xy[:, :2]), (e.j, z_j, e.xy[:, 2:])):
            xy[s].append(at[good])
            depth[s].append(z[good])
    points = zip(map(np.concatenate, xy), map(np.concatenate, depth), strict=True)
    return [DepthPoints(*each) for each in points]


def sparse_depths(
    solution: Solution, frames: int, height: int, width: int, rows: int, columns: int
) -> Float32:
    """Median depth of the matches in each cell of a grid over the image.

    Args:
        solution: Joined cameras and their verified matches.
        frames: S.
        height: Network image height, px.
        width: Network image width, px.
        rows: Grid rows.
        columns: Grid columns.

    Returns:
        (S, rows, columns) depth, scene units; NaN where no match fell.
    """
    points = match_depths(solution, frames)
    key = []
    for s, (xy, _) in enumerate(points):
        x = np.clip(xy[:, 0] / width * columns, 0, columns - 1).astype(np.int64)
        y = np.clip(xy[:, 1] / height * rows, 0, rows - 1).astype(np.int64)
        key.append((s * rows + y) * columns + x)
    cell, values = np.concatenate(key), np.concatenate([p.depth for p in points])
    order = np.lexsort((values, cell))
    cell, values = cell[order], values[order]
    unique, first, count = np.unique(cell, return_index=True, return_counts=True)
    result = np.full(len(points) * rows * columns, np.nan, np.float32)
    result[unique] = values[first + count // 2]
    return result.reshape(len(points), rows, columns)


def normalize_scale(solution: Solution, depths: Float32) -> tuple[Solution, Float32]:
    """Make the median depth one unit and the first frame the world."""
    known = depths[np.isfinite(depths)]
    scale = 1.0 / float(np.median(known)) if len(known) else 1.0
    poses = solution.cam_from_world.copy()
    poses[..., 3] *= scale
    first = poses[0]
    relative = poses[:, :, :3] @ first[:, :3].T
    shift = poses[:, :, 3] - relative @ first[:, 3]
    poses = np.concatenate([relative, shift[..., None]], axis=-1)
    return replace(solution, cam_from_world=poses), (depths * scale).astype(np.float32)
