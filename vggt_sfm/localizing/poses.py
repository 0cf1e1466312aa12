"""The pose of one new photograph, from points of the model that it shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, Float64
from vggt_sfm.geometry.rigid import rotation_angle_deg, transform_points
from vggt_sfm.localizing.config import LocalizeConfig

# COLMAP's limits of what is believed, in longer sides.
_POSSIBLE_FOCAL = (0.1, 10.0)
_MOST_DISTORTION = 1.0
# A second pose that explains this share of what the first one does, from what that leaves over.
# A nearer one is the same pose, seen through points that are not exact.
_RIVAL_SHARE, _RIVAL_DEG = 0.5, 5.0
_FEWEST = 6  # points that a pose is looked for with
_REFINEMENTS = 3  # each with the inliers of the one before
_GRADIENT = 1e-3  # COLMAP's 1.0 was seen to stop long before a wrong focal length was mended


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PointsSeen:
    """Points of the model, and where a new photograph shows them."""

    xy: Float64  # (n, 2) px
    xyz: Float64  # (n, 3) world, scene units


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """A camera that a photograph may have been taken with."""

    camera: pycolmap.Camera
    refine: bool
    """Whether focal length and distortion are refined, because no model vouches for them."""
    estimate_focal: bool = False
    """Whether nothing is known of the focal length."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pose:
    """Where a photograph was taken, and how sure that is."""

    cam_from_world: pycolmap.Rigid3d
    camera: pycolmap.Camera
    inlier: Bool  # (n,)
    sigma_deg: float
    """The larger standard deviation of rotation and of position, the latter as the angle that it
    makes at the points, by the noise of the inliers."""


def estimate_pose(
    seen: PointsSeen, lens: Lens, limit_px: float, config: LocalizeConfig
) -> Pose | str:
    """Find the pose that the points agree on, or say why there is none.

    Args:
        seen: Points and pixels.
        lens: The camera; unchanged.
        limit_px: Largest reprojection error of an inlier, px.
        config: What is enough.
    """
    count = len(seen.xy)
    if count < max(config.min_inliers, _FEWEST):
        return f"too few points of the model: {count}, {config.min_inliers} are needed"
    pose = _pose(seen, lens, limit_px, config.seed)
    inliers = 0 if pose is None else int(pose.inlier.sum())
    if pose is None or inliers < max(config.min_inliers, config.min_inlier_ratio * count):
        return f"too few inliers: {inliers} of {count} points agree on a pose"
    if not _is_possible(pose.camera):
        return f"impossible camera: focal length {pose.camera.mean_focal_length():.0f} px"
    if pose.sigma_deg > config.max_sigma_deg:
        return f"too uncertain: {inliers} points tell its pose to {pose.sigma_deg:.1f} degrees only"
    left = PointsSeen(xy=seen.xy[~pose.inlier], xyz=seen.xyz[~pose.inlier])
    held = Lens(camera=pose.camera, refine=False)
    rival = _pose(left, held, limit_px, config.seed)
    others = 0 if rival is None else int(rival.inlier.sum())
    if rival is None or others < _RIVAL_SHARE * inliers:
        return pose
    if _difference_deg(pose, rival, seen.xyz) > _RIVAL_DEG:
        return f"ambiguous: {inliers} points agree on a pose, {others} others on another one"
    return pose


def _pose(seen: PointsSeen, lens: Lens, limit_px: float, seed: int) -> Pose | None:
    if len(seen.xy) < _FEWEST:
        return None
    estimation = pycolmap.AbsolutePoseEstimationOptions()
    estimation.estimate_focal_length = lens.estimate_focal
    estimation.ransac.max_error = limit_px
    estimation.ransac.random_seed = seed
    refinement = pycolmap.AbsolutePoseRefinementOptions()
    refinement.refine_focal_length = refinement.refine_extra_params = lens.refine
    refinement.gradient_tolerance = _GRADIENT
    camera = pycolmap.Camera(lens.camera.todict())
    # Near the points, so that nothing is lost where the world's origin is far away, and a shift is
    # one of the camera against what it sees.
    center = np.median(seen.xyz, axis=0)
    xyz = seen.xyz - center
    found = pycolmap.estimate_absolute_pose(seen.xy, xyz, camera, estimation)
    for _ in range(_REFINEMENTS):
        if found is None:
            return None
        inlier = errors_px(found["cam_from_world"], camera, seen.xy, xyz) <= limit_px
        if inlier.sum() < _FEWEST:
            return None
        found = pycolmap.refine_absolute_pose(
            found["cam_from_world"],
            seen.xy,
            xyz,
            inlier,
            camera,
            refinement,
            return_covariance=True,
        )
    if found is None:
        return None
    pose = found["cam_from_world"]
    error = errors_px(pose, camera, seen.xy, xyz)
    inlier = error <= limit_px
    noise_px = float(np.sqrt(np.mean(error[inlier] ** 2) / 2)) if inlier.any() else np.inf
    return Pose(
        cam_from_world=pose * pycolmap.Rigid3d(pycolmap.Rotation3d(), -center),
        camera=camera,
        inlier=inlier,
        sigma_deg=noise_px * _sigma_deg(found["covariance"], _depth(pose, xyz)),
    )


def errors_px(
    cam_from_world: pycolmap.Rigid3d, camera: pycolmap.Camera, xy: Float64, xyz: Float64
) -> Float64:
    """Return (n,) reprojection errors, infinite behind the camera."""
    in_camera = transform_points(cam_from_world.matrix(), xyz)
    error = np.linalg.norm(np.asarray(camera.img_from_cam(in_camera)) - xy, axis=1)
    return np.where((in_camera[:, 2] > 0) & np.isfinite(error), error, np.inf)


def _depth(cam_from_world: pycolmap.Rigid3d, xyz: Float64) -> float:
    """Return the usual distance of points from a camera."""
    return float(np.median(np.linalg.norm(transform_points(cam_from_world.matrix(), xyz), axis=1)))


def _sigma_deg(covariance: Float64, depth: float) -> float:
    """Return the larger sigma for a noise of 1 px; covariance is (6, 6), rotation first."""
    rotation, shift = (np.linalg.eigvalsh(covariance[k : k + 3, k : k + 3])[-1] for k in (0, 3))
    variance = max(rotation, shift / depth**2)
    return float(np.degrees(np.sqrt(variance))) if variance > 0 else np.inf


def _difference_deg(first: Pose, second: Pose, xyz: Float64) -> float:
    """Return how far two poses are apart, as the angle that it makes at the points."""
    there = (first.cam_from_world * second.cam_from_world.inverse()).matrix()
    center = np.median(xyz, axis=0)
    shift = np.linalg.norm(first.cam_from_world * center - second.cam_from_world * center)
    angle = np.degrees(np.arctan(shift / _depth(first.cam_from_world, xyz)))
    return max(float(rotation_angle_deg(there[:, :3])), float(angle))


def _is_possible(camera: pycolmap.Camera) -> bool:
    low, high = (side * max(camera.width, camera.height) for side in _POSSIBLE_FOCAL)
    extra = np.array(camera.params)[list(camera.extra_params_idxs())]
    undistorted = bool((np.abs(extra) <= _MOST_DISTORTION).all())
    return low <= camera.mean_focal_length() <= high and undistorted
