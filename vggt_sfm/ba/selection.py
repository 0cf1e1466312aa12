"""Which observations, images and points take part in a solve."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.ba.bundle import Bundle, triangulation_angles_deg

# Two images with fewer common tracks do not hold each other in place (a relative pose has five
# degrees of freedom, and some tracks are wrong).
_LEAST_SHARED_TRACKS = 8
# Of the median angle: what counts as narrow depends on the scene.
_NARROW = 0.25
_GRID = 8  # cells along each side of an image in which early points are spread


def with_two_views(bundle: Bundle, active: Bool) -> Bool:
    """Drop observations of points that only one image sees (COLMAP's builder refuses those)."""
    views = np.bincount(bundle.point_of[active], minlength=len(bundle.xyz))
    return active & (views[bundle.point_of] >= 2)


def largest_component(
    bundle: Bundle, active: Bool, least_shared: int = _LEAST_SHARED_TRACKS
) -> Bool:
    """Return the (S,) images of the largest set connected by shared tracks, so many at least.

    Equal sizes are decided by the number of observations, then by the order of the images.
    """
    num_images = len(bundle.image_ids)
    sees = coo_array(
        (np.ones(int(active.sum())), (bundle.image_of[active], bundle.point_of[active])),
        shape=(num_images, len(bundle.xyz)),
    ).tocsr()
    shared = (sees @ sees.T).toarray()
    _, component = connected_components(shared >= least_shared, directed=False)
    images = np.bincount(component)
    observations = np.bincount(component[bundle.image_of[active]], minlength=len(images))
    best = np.lexsort((-np.arange(len(images)), observations, images))[-1]
    return np.asarray(component == best)


def good_observations(
    bundle: Bundle, error_px: Float64, candidates: Bool, max_error_px: float, min_angle_deg: float
) -> Bool:
    """Keep observations that fit, of points that are seen from different enough directions.

    Args:
        bundle: Current values.
        error_px: (M,) reprojection errors, infinite behind the camera.
        candidates: (M,) observations to choose from.
        max_error_px: Largest error kept, image px.
        min_angle_deg: Smallest triangulation angle; a quarter of the scene's median where that
            is less, so that a narrow scene is not emptied.

    Returns:
        (M,) the kept ones, at least two a point.
    """
    fits = with_two_views(bundle, candidates & (error_px <= max_error_px))
    if not fits.any():
        return fits
    angle = triangulation_angles_deg(bundle, fits)
    typical = float(np.median(angle[np.unique(bundle.point_of[fits])]))
    return fits & (angle >= min(min_angle_deg, _NARROW * typical))[bundle.point_of]


def balanced_points(bundle: Bundle, active: Bool, per_image: int) -> Bool:
    """Choose (N,) points so that every image has up to ``per_image``, spread over its area.

    In each cell of a grid the longest tracks come first; a point chosen for one image brings all
    its observations.
    """
    length = np.bincount(bundle.point_of[active], minlength=len(bundle.xyz))
    chosen = np.zeros(len(bundle.xyz), bool)
    for s in range(len(bundle.image_ids)):
        rows = np.flatnonzero(active & (bundle.image_of == s))
        camera = bundle.cameras[bundle.camera_of[s]]
        cell_xy = np.floor(bundle.xy[rows] / [camera.width, camera.height] * _GRID)
        cell = (cell_xy.clip(0, _GRID - 1) @ [1, _GRID]).astype(np.int64)
        order = np.lexsort((-length[bundle.point_of[rows]], cell))
        rank_in_cell = _rank_in_group(cell[order])
        turn = np.lexsort((-length[bundle.point_of[rows[order]]], rank_in_cell))
        chosen[bundle.point_of[rows[order[turn[:per_image]]]]] = True
    return chosen


def _rank_in_group(group: Int64) -> Int64:
    """Return 0, 1, 2, … within each run of equal values of an ascending array."""
    first = np.searchsorted(group, group)
    return np.asarray(np.arange(len(group)) - first)
