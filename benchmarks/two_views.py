"""Where matches of two views with known cameras should be, and how much the views share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vggt_sfm._checks import Bool, Float64
from vggt_sfm.geometry.cameras import project, unproject
from vggt_sfm.geometry.rigid import compose, invert, rotation_angle_deg
from vggt_sfm.scene import Size
from vggt_sfm.tracking.guidance import epipolar_distance

_HIDDEN = 0.1  # a point this share deeper than the surface that is seen is behind it
_OVERLAP_STEP = 4  # px


class View(NamedTuple):
    """A photograph's true camera and depth."""

    cam_from_world: Float64  # (3, 4)
    intrinsics: Float64  # (3, 3) px
    size: Size
    depth: Float64 | None = None  # (H, W) along the optical axis, scene units, 0 = unknown


def relative_rotation_deg(first: View, second: View) -> float:
    """Return the angle by which one camera is turned against the other, degrees."""
    turn = second.cam_from_world[:, :3] @ first.cam_from_world[:, :3].T
    return float(rotation_angle_deg(turn))


def epipolar_errors(first: View, second: View, xy: Float64) -> Float64:
    """Return the larger of each match's distances from its epipolar lines in both images.

    Args:
        first: Known camera.
        second: Known camera at another place.
        xy: (n, 4) x, y in the first and x, y in the second, px.

    Returns:
        (n,) px.

    Source: Hartley and Zisserman, "Multiple View Geometry", eq. 9.1 and 9.12.
    """
    relative = compose(second.cam_from_world, invert(first.cam_from_world))
    E = np.cross(relative[:, 3], relative[:, :3], axisb=0, axisc=0)  # [t]x R, column by column
    F = np.linalg.inv(second.intrinsics).T @ E @ np.linalg.inv(first.intrinsics)
    there = epipolar_distance(F, xy[:, :2], xy[:, 2:])
    back = epipolar_distance(F.T, xy[:, 2:], xy[:, :2])
    return np.maximum(there, back)


def reprojection_errors(first: View, second: View, xy: Float64) -> Float64:
    """Return how far matches are from where the first view's depth puts them in the second.

    Args:
        first: Known camera with depth.
        second: Known camera.
        xy: (n, 4) x, y in the first and x, y in the second, px.

    Returns:
        (n,) px; NaN where the depth is not known, inf where the point is behind the second.

    Raises:
        ValueError: If the first view has no depth.
    """
    depth = _depth_at(first, xy[:, :2])
    places, _ = _carried(first, second, xy[:, :2], depth)
    error = np.linalg.norm(places - xy[:, 2:], axis=1)
    return np.where(depth > 0, np.nan_to_num(error, nan=np.inf), np.nan)


def overlap(first: View, second: View) -> float:
    """Return the share of the first view's pixels, of those with depth, that the second sees.

    A point does not count where it is outside the second image or behind the surface there; an
    unknown depth hides nothing.

    Raises:
        ValueError: If a view has no depth.
    """
    x, y = (np.arange(_OVERLAP_STEP / 2, side, _OVERLAP_STEP) for side in first.size)
    xy = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    depth = _depth_at(first, xy)
    known = depth > 0
    if not known.any():
        return 0.0
    places, depths = _carried(first, second, xy[known], depth[known])
    inside = _inside(places, second.size)
    surface = _depth_at(second, places[inside])
    seen = (surface == 0) | (depths[inside] <= surface * (1 + _HIDDEN))
    return float(seen.sum() / known.sum())


def level_of(value: float, edges: Sequence[float]) -> int:
    """Return which level a value belongs to.

    Args:
        value: Not below the first edge.
        edges: Ascending; each level begins at its edge, and the last one has its end too.

    Returns:
        From 0 to the number of edges less two.
    """
    return min(int(np.searchsorted(edges, value, side="right")) - 1, len(edges) - 2)


def _carried(first: View, second: View, xy: Float64, depth: Float64) -> tuple[Float64, Float64]:
    """Places (n, 2) in the second view, NaN behind it, and (n,) depths there."""
    points = unproject(xy, depth, first.intrinsics, first.cam_from_world)
    return project(points, second.cam_from_world, second.intrinsics)


def _inside(xy: Float64, size: Size) -> Bool:
    return np.asarray(((xy >= 0) & (xy < np.array(size))).all(axis=-1))


def _depth_at(view: View, xy: Float64) -> Float64:
    """The (n,) depth of the pixels that (n, 2) points lie in."""
    if view.depth is None:
        raise ValueError("the view has no depth")
    column, row = np.clip(xy, 0, np.array(view.size) - 1).astype(np.int64).T
    return np.asarray(view.depth[row, column])
