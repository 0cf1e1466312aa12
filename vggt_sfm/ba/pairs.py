"""Relative poses of image pairs, from their common tracks alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, Int64, freeze
from vggt_sfm._groups import pairs_within
from vggt_sfm.ba.bundle import Bundle

# A wrong pose of a pair fits some of the tracks by chance.
_LEAST_SHARED = 15
_LEAST_INLIERS, _LEAST_INLIER_RATIO = 15, 0.3
_MOST_TRIALS = 3000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PosedPair:
    """Two images and how they stand to each other; the unit of length is arbitrary."""

    images: tuple[int, int]  # rows, ascending
    second_from_first: pycolmap.Rigid3d
    first: Int64  # (n,) row of the first image's observation of each common track
    second: Int64  # (n,)
    fits: Bool  # (n,) tracks that agree with the pose

    def __post_init__(self) -> None:
        freeze(self)


def posed_pairs(bundle: Bundle, active: Bool, *, max_error_px: float, seed: int) -> list[PosedPair]:
    """Estimate the relative pose of every two images that share enough tracks.

    Neither poses nor points of the bundle count, only tracks and intrinsics.

    Args:
        bundle: Tracks and cameras.
        active: (M,) observations to use.
        max_error_px: Largest distance from the epipolar geometry, image px.
        seed: Of the random samples; equal seeds give equal poses.

    Returns:
        The pairs whose tracks agree with one pose, ascending by their images.
    """
    usable = np.flatnonzero(active & np.isfinite(bundle.xy).all(axis=1))
    first, second = (usable[side] for side in pairs_within(bundle.point_of[usable]))
    images = np.stack([bundle.image_of[first], bundle.image_of[second]], axis=1)
    swapped = images[:, 0] > images[:, 1]
    first, second = np.where(swapped, second, first), np.where(swapped, first, second)
    images = np.sort(images, axis=1)
    order = np.lexsort((first, images[:, 1], images[:, 0]))
    images, first, second = images[order], first[order], second[order]
    starts = np.flatnonzero((np.diff(images, axis=0, prepend=-1) != 0).any(axis=1))
    pairs = []
    for start, end in pairwise([*starts.tolist(), len(images)]):
        i, j = images[start].tolist()
        if i == j or end - start < _LEAST_SHARED:
            continue
        rows = first[start:end], second[start:end]
        pair = _posed((i, j), rows, bundle, _options(max_error_px, seed))
        if pair is not None:
            pairs.append(pair)
    return pairs


def _options(max_error_px: float, seed: int) -> pycolmap.RANSACOptions:
    options = pycolmap.RANSACOptions()
    options.max_error = max_error_px
    options.max_num_trials = _MOST_TRIALS
    options.random_seed = seed
    return options


def _posed(
    images: tuple[int, int],
    rows: tuple[Int64, Int64],
    bundle: Bundle,
    options: pycolmap.RANSACOptions,
) -> PosedPair | None:
    """Return a pair if its tracks agree with one pose."""
    a, b = (bundle.cameras[bundle.camera_of[s]] for s in images)
    first_xy, second_xy = (bundle.xy[each] for each in rows)
    found = pycolmap.estimate_relative_pose(a, first_xy, b, second_xy, options)
    if found is None or found["num_inliers"] < _LEAST_INLIERS:
        return None
    fits: Bool = np.asarray(found["inlier_mask"], bool).ravel()
    if fits.mean() < _LEAST_INLIER_RATIO:
        return None
    pose = found["cam2_from_cam1"]
    refined = pycolmap.refine_relative_pose(pose, a, first_xy, b, second_xy, fits)
    pose = pose if refined is None else refined["cam2_from_cam1"]
    if not np.isfinite(pose.matrix()).all():
        return None
    return PosedPair(
        images=images, second_from_first=pose, first=rows[0], second=rows[1], fits=fits
    )
