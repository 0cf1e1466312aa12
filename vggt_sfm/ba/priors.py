"""How far poses and intrinsics are trusted before the photographs are looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vggt_sfm._checks import Bool, Float64
from vggt_sfm.ba.bundle import Bundle, focal_lengths, measure
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.ba.gauge import Similarity
from vggt_sfm.ba.knowledge import Knowledge, plain_pose
from vggt_sfm.ba.solve import Priors
from vggt_sfm.geometry.rigid import invert

# What a predicted pose is trusted to where its tracks agree with it perfectly.
_LEAST_SIGMA_RAD = float(np.radians(0.5))
# A pose that agrees with its tracks no better than this has no say: near a bad start even a weak
# prior was seen to hold images back.
_LARGEST_SIGMA_RAD = float(np.radians(2.0))
# Coefficients of lenses are smaller than this; those that a picture does not tell stay small.
_DISTORTION_SIGMA = 0.5
_SPREADS = 2.0  # times the mean distance of the cameras from their middle: at most, for lengths


def moved(knowledge: Knowledge, world: Similarity) -> Knowledge:
    """Return the same knowledge in a world that was moved."""
    poses = {
        name: replace(
            pose,
            cam_from_world=plain_pose(world.move_pose(pose.matrix)),
            position_sigma=world.scale * pose.position_sigma,
        )
        for name, pose in knowledge.poses.items()
    }
    return replace(knowledge, poses=poses)


def make_priors(
    seed: Bundle, candidates: Bool, noise_px: float, config: BundleConfig, knowledge: Knowledge
) -> Priors:
    """Trust what is known as firmly as its source says, and predictions as far as they fit.

    A median reprojection error of a few pixels means that a predicted pose is right to a fraction
    of a degree; a hundred pixels mean that it says nothing.

    Args:
        seed: The start, in the world that is solved in.
        candidates: (M,) observations that count.
        noise_px: Reprojection error that weighs as much as one sigma of a prior, image px.
        config: Whether predicted poses get a prior at all, and how firm focal lengths are.
        knowledge: What a user knows, in the same world.
    """
    poses = seed.cam_from_world.copy()
    rotation, position = _trust_in_predictions(seed, candidates, config)
    for s, name in enumerate(seed.names):
        if name in knowledge.poses:
            known = knowledge.poses[name]
            poses[s] = known.matrix
            rotation[s], position[s] = known.rotation_sigma_rad, known.position_sigma
    params, sigma = _cameras(seed, config, knowledge)
    return Priors(
        cam_from_world=poses,
        rotation_sigma_rad=rotation,
        position_sigma=position,
        camera_params=params,
        camera_sigma=sigma,
        noise_px=noise_px,
    )


def _trust_in_predictions(
    seed: Bundle, candidates: Bool, config: BundleConfig
) -> tuple[Float64, Float64]:
    """Return (S,) sigmas of rotations, rad, and of positions, scene units."""
    error, depth = measure(seed)
    focal = focal_lengths(seed)
    rotation, position = np.full(len(focal), np.inf), np.full(len(focal), np.inf)
    # A network errs by a share of what it can tell apart: near cameras of a far scene too.
    centers = invert(seed.cam_from_world)[:, :, 3]
    spread = _SPREADS * float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).mean())
    for s in range(len(focal)):
        mine = candidates & (seed.image_of == s)
        if config.pose_prior and mine.any():
            angle = np.arctan(np.median(error[mine]) / focal[s])
            if angle <= _LARGEST_SIGMA_RAD:
                rotation[s] = max(angle, _LEAST_SIGMA_RAD)
                position[s] = rotation[s] * min(float(np.median(np.abs(depth[mine]))), spread)
    return rotation, position


def _cameras(
    seed: Bundle, config: BundleConfig, knowledge: Knowledge
) -> tuple[tuple[Float64, ...], tuple[Float64, ...]]:
    """Return what is believed of the parameters of each camera, and their sigmas."""
    params, sigmas = [], []
    for row, camera in enumerate(seed.cameras):
        owners = np.flatnonzero(seed.camera_of == row)[:1]
        known = knowledge.camera_of(seed.names[owners[0]]) if len(owners) else None
        if known is not None:
            params.append(np.array(known.params))
            sigmas.append(np.array(known.sigma))
            continue
        mean = np.array(camera.params)
        focal = list(camera.focal_length_idxs())
        share = config.exif_focal_sigma if camera.has_prior_focal_length else config.focal_sigma
        sigma = np.full(len(mean), np.inf)
        sigma[focal] = share * mean[focal]
        sigma[list(camera.extra_params_idxs())] = _DISTORTION_SIGMA
        params.append(mean)
        sigmas.append(sigma)
    return tuple(params), tuple(sigmas)
