"""Depth fitted to what the matches say of it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from vggt_sfm._checks import Float32, Float64
from vggt_sfm.models.tiny.sparse import DepthPoints
from vggt_sfm.models.tiny.thinned import scaled, thin, thin_centers

_CELL = 16  # px of the grid
_BIN = 0.1  # of the logarithm of depth
_REACH = 2.0  # standard deviation of what a match tells of its surroundings, cells and bins
_PRIOR = 2.0  # matches that the depth as it is counts for
_GROSS = 0.3  # of the logarithm: matches farther off than this are of something else


def fit(depth: Float32, points: DepthPoints) -> Float32:
    """Scale depth by what matches near in the image and in depth say.

    What the head has predicted bends smoothly towards the matches and keeps its edges: corrections
    are averaged in a bilateral grid (Chen, Paris and Durand, "Real-time edge-aware image
    processing with the bilateral grid", SIGGRAPH 2007).

    Args:
        depth: (H, W), above 0.
        points: Matches of the frame, in the same px and unit.

    Returns:
        (H, W).
    """
    height, width = depth.shape
    log_depth = np.log(depth)
    nearest = log_depth.min()
    x, y = points.xy[:, 0].clip(0, width - 1), points.xy[:, 1].clip(0, height - 1)
    predicted = log_depth[y.astype(np.int64), x.astype(np.int64)]
    residual = np.log(points.depth) - predicted
    kept = np.abs(residual) < _GROSS
    last = np.array([height / _CELL, width / _CELL, (log_depth.max() - nearest) / _BIN])
    at = np.stack([y / _CELL, x / _CELL, (predicted - nearest) / _BIN], 1)[kept]
    cell = tuple(np.rint(at).astype(np.int64).T)
    total, count = np.zeros((2, *np.ceil(last).astype(np.int64) + 1))
    np.add.at(total, cell, residual[kept])
    np.add.at(count, cell, 1.0)
    grid = _gathered(total) / (_gathered(count) + _PRIOR)
    x, y = np.moveaxis(thin_centers(height, width), -1, 0) / _CELL
    bins = (thin(log_depth) - nearest) / _BIN
    return scaled(depth, map_coordinates(grid, [y, x, bins], order=1, mode="nearest"))


def _gathered(grid: Float64) -> Float64:
    """Sum what is near, weighted by how near it is."""
    weight = (np.sqrt(2 * np.pi) * _REACH) ** grid.ndim
    return np.asarray(weight * gaussian_filter(grid, _REACH, mode="constant"))
