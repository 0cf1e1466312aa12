"""Points that follow other cameras by their predicted depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, Float64, check_shape
from vggt_sfm._groups import grouped_median, pairs_within
from vggt_sfm.ba.bundle import Bundle, depths
from vggt_sfm.ba.gauge import transform
from vggt_sfm.geometry.rigid import invert, rotation_angle_deg, transform_points


def with_cameras(
    seed: Bundle,
    cam_from_world: Float64,
    cameras: Sequence[pycolmap.Camera],
    depth: Float64 | None = None,
) -> Bundle:
    """Put other cameras into a seed and place its points anew by their predicted depth.

    The world of the new cameras is moved onto the seed's: its scale is the one at which the
    depths of one track in several images agree best, its rotation and origin are what most images
    say. So predicted depths keep their meaning.

    Args:
        seed: The prediction.
        cam_from_world: (S, 3, 4) new poses in a world of any scale; NaN where there is none, and
            those images keep their predicted pose.
        cameras: New intrinsics in the order of ``seed.cameras``.
        depth: (M,) predicted depth of every observation, seed units; by default the depth of the
            seed's point in the seed's camera. What is not positive counts as unknown.

    Returns:
        The seed's images and observations with new cameras and points. Points without a depth
        stay.

    Raises:
        ValueError: If shapes do not fit.
    """
    _check(seed, cam_from_world, cameras, depth)
    depth = depths(seed) if depth is None else depth
    known: Bool = np.asarray(np.isfinite(cam_from_world).all(axis=(1, 2)))
    moved = replace(
        seed,
        cameras=tuple(cameras),
        cam_from_world=np.where(known[:, None, None], cam_from_world, seed.cam_from_world),
    )
    if known.any():
        scale = _scale(moved, seed, depth, known)
        poses = transform(moved, scale, *_movement(moved, seed, known, scale)).cam_from_world
        poses = np.where(known[:, None, None], poses, seed.cam_from_world)
        moved = replace(moved, cam_from_world=poses)
    xyz = points_at_depth(moved, depth)
    return replace(moved, xyz=np.where(np.isfinite(xyz), xyz, seed.xyz))


def lift_points(bundle: Bundle, seed: Bundle, active: Bool, moved: Bool) -> Bundle:
    """Place points that earlier rounds left out, by their predicted depth and the new cameras.

    Every view keeps the depth at which the seed puts the point, times how much the depths of
    that view's adjusted points have changed; the point is the median over its views.

    Args:
        bundle: Adjusted cameras and some adjusted points.
        seed: The predicted values of the same images and points.
        active: (M,) observations to use.
        moved: (N,) points that have been adjusted and stay.

    Returns:
        The bundle with all other points replaced.
    """
    depth, seed_depth = depths(bundle), depths(seed)
    usable = active & (seed_depth > 0)
    wanted = np.full(len(bundle.xy), np.nan)
    for s in range(len(bundle.image_ids)):
        mine = usable & (bundle.image_of == s)
        known = mine & moved[bundle.point_of] & (depth > 0)
        if known.any():
            rows = mine & ~moved[bundle.point_of]
            wanted[rows] = np.median(depth[known] / seed_depth[known]) * seed_depth[rows]
    xyz = points_at_depth(bundle, wanted)
    return replace(bundle, xyz=np.where(np.isfinite(xyz), xyz, bundle.xyz))


def points_at_depth(bundle: Bundle, depth: Float64) -> Float64:
    """Lift every observation to its depth and take the middle of each point's views.

    Args:
        bundle: Its points do not matter.
        depth: (M,) scene units; what is not positive counts as unknown.

    Returns:
        (N, 3) median over each point's views, an axis at a time; NaN without any depth.
    """
    centers, offset = _rays(bundle)
    lifted = centers + depth[:, None] * offset
    rows = np.flatnonzero((depth > 0) & np.isfinite(lifted).all(axis=1))
    point, alike, count = bundle.point_of[rows], np.ones(len(rows)), len(bundle.xyz)
    return np.stack(
        [grouped_median(point, values, alike, count) for values in lifted[rows].T], axis=1
    )


def _check(
    seed: Bundle,
    cam_from_world: Float64,
    cameras: Sequence[pycolmap.Camera],
    depth: Float64 | None,
) -> None:
    sizes = {"S": len(seed.image_ids), "M": len(seed.xy)}
    check_shape("with_cameras.cam_from_world", cam_from_world, "S 3 4", sizes)
    if depth is not None:
        check_shape("with_cameras.depth", depth, "M", sizes)
    if len(cameras) != len(seed.cameras):
        raise ValueError(f"with_cameras: {len(cameras)} cameras instead of {len(seed.cameras)}")


def _rays(bundle: Bundle) -> tuple[Float64, Float64]:
    """Return each observation's (M, 3) camera centre and (M, 3) way to depth 1, in the world."""
    ray = np.ones((len(bundle.xy), 3))
    for s in range(len(bundle.image_ids)):
        rows = np.flatnonzero(bundle.image_of == s)
        ray[rows, :2] = bundle.cameras[bundle.camera_of[s]].cam_from_img(bundle.xy[rows])
    world_from_cam = invert(bundle.cam_from_world)[bundle.image_of]
    centers = world_from_cam[:, :, 3]
    return centers, transform_points(world_from_cam, ray) - centers


def _scale(moved: Bundle, seed: Bundle, depth: Float64, known: Bool) -> float:
    """Return the factor on the new world at which lifted points of one track agree best.

    It is the least sum of distances along the baselines, each relative to its point's depth.
    Where depths say nothing, as with images from one place, the spread of the cameras decides.
    """
    centers, offset = _rays(moved)
    usable = (depth > 0) & known[moved.image_of] & np.isfinite(offset).all(axis=1)
    rows = np.flatnonzero(usable)
    first, second = (rows[side] for side in pairs_within(moved.point_of[rows]))
    baseline = centers[first] - centers[second]
    apart = depth[second, None] * offset[second] - depth[first, None] * offset[first]
    length = np.linalg.norm(baseline, axis=1)
    weight = length / (depth[first] + depth[second])
    rows = np.flatnonzero(weight > 0)
    ratio = (apart[rows] * baseline[rows]).sum(axis=1) / np.square(length[rows])
    together = np.zeros(len(rows), np.int64)
    scale = float(grouped_median(together, ratio, weight[rows], 1)[0])
    return scale if scale > 0 else _spread(seed, known) / _spread(moved, known)


def _spread(bundle: Bundle, images: Bool) -> float:
    """Return the median distance of camera centres from their middle; 1 if they coincide."""
    centers = invert(bundle.cam_from_world[images])[:, :, 3]
    middle = np.median(centers, axis=0)
    return float(np.median(np.linalg.norm(centers - middle, axis=1))) or 1.0


def _movement(moved: Bundle, seed: Bundle, known: Bool, scale: float) -> tuple[Float64, Float64]:
    """Return the rotation and translation that bring the new world to the seed's.

    The rotation is that of the image which the others contradict least.
    """
    shared: Bool = np.asarray(known & np.isfinite(seed.cam_from_world).all(axis=(1, 2)))
    if not shared.any():
        return np.eye(3), np.zeros(3)
    new, old = moved.cam_from_world[shared], seed.cam_from_world[shared]
    each = np.swapaxes(old[:, :, :3], 1, 2) @ new[:, :, :3]
    contradiction = rotation_angle_deg(each[:, None] @ np.swapaxes(each, 1, 2)[None]).sum(axis=1)
    rotation = each[np.argmin(contradiction)]
    centers, target = invert(new)[:, :, 3], invert(old)[:, :, 3]
    return rotation, np.median(target - scale * centers @ rotation.T, axis=0)
