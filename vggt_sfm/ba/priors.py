"""How far predicted poses and focal lengths are trusted."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Bool
from vggt_sfm.ba.bundle import Bundle, focal_lengths, measure
from vggt_sfm.ba.solve import Priors
from vggt_sfm.geometry.rigid import invert

# What a predicted pose is trusted to where its tracks agree with it perfectly.
_LEAST_SIGMA_RAD = float(np.radians(0.5))
# A pose that agrees with its tracks no better than this has no say: near a bad start even a weak
# prior was seen to hold images back.
_LARGEST_SIGMA_RAD = float(np.radians(2.0))
_SPREADS = 2.0  # times the mean distance of the cameras from their middle: at most, for lengths


def make_priors(seed: Bundle, candidates: Bool, noise_px: float, *, poses: bool) -> Priors:
    """Trust each predicted pose as far as the seed agrees with the image's own tracks.

    A median reprojection error of a few pixels means that the pose is right to a fraction of a
    degree; a hundred pixels mean that it says nothing.

    Args:
        seed: The predicted values, in the world that is solved in.
        candidates: (M,) observations that count.
        noise_px: Reprojection error that weighs as much as one sigma of a prior, image px.
        poses: Whether poses get a prior at all.
    """
    error, depth = measure(seed)
    focal = focal_lengths(seed)
    sigma = np.full(len(focal), np.inf)
    distance = np.ones(len(focal))
    # A network errs by a share of what it can tell apart: near cameras of a far scene too.
    centers = invert(seed.cam_from_world)[:, :, 3]
    spread = _SPREADS * float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).mean())
    for s in range(len(focal)):
        mine = candidates & (seed.image_of == s)
        if poses and mine.any():
            angle = np.arctan(np.median(error[mine]) / focal[s])
            if angle <= _LARGEST_SIGMA_RAD:
                sigma[s] = max(angle, _LEAST_SIGMA_RAD)
                distance[s] = min(float(np.median(np.abs(depth[mine]))), spread)
    return Priors(
        cam_from_world=seed.cam_from_world,
        rotation_sigma_rad=sigma,
        translation_sigma=sigma * distance,
        focal_px=np.array([camera.mean_focal_length() for camera in seed.cameras]),
        noise_px=noise_px,
    )
