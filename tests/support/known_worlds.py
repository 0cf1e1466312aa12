"""A known world, and predictions that have to come into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from synthetic import orbit, synthetic_scene

from vggt_sfm.ba.knowledge import KnownCamera
from vggt_sfm.geometry.rigid import invert, rotation_angle_deg
from vggt_sfm.io.positions import LocalPosition
from vggt_sfm.priors.config import PriorConfig
from vggt_sfm.priors.poses import GivenPoses
from vggt_sfm.priors.world import KnownWorld, into_known_world, known_world
from vggt_sfm.scene import Predictions

Float64 = NDArray[np.float64]

EXACT = synthetic_scene(num_frames=8, num_points=10, arc_deg=100)
NAMES = tuple(frame.name for frame in EXACT.scene.frames)
# The known world: three times as large, turned and far away.
SCALE, SHIFT = 3.0, np.array([100.0, -20.0, 5.0])
TURN = Rotation.from_rotvec([0.4, -1.1, 0.7])
# What exact worlds may differ by after the way there, relative to their size.
SAME = 1e-6


def moved(poses: Float64, scale: float = SCALE, shift: Float64 = SHIFT) -> Float64:
    """The same (S, 3, 4) cameras in the known world."""
    world_from_cam = invert(poses)
    centers = scale * TURN.apply(world_from_cam[:, :, 3]) + shift
    rotations = TURN.as_matrix() @ world_from_cam[:, :, :3]
    return invert(np.concatenate([rotations, centers[:, :, None]], axis=2))


# Eight cameras whose centres are not nearly in one plane, so that they tell the rotation.
SPREAD = np.concatenate(
    [orbit(8, 100)[:, :, :3], np.random.default_rng(5).normal(size=(8, 3, 1))], axis=2
)
SPREAD_TRUTH = moved(SPREAD)


def found(
    source: GivenPoses,
    config: PriorConfig = PriorConfig(),  # noqa: B008  (immutable)
    predictions: Predictions = EXACT.predictions,
    cameras: tuple[KnownCamera, ...] = (),
) -> tuple[KnownWorld, Predictions]:
    """The known world, and the predictions in it."""
    world = known_world(source, cameras, EXACT.scene, predictions, config)
    return world, into_known_world(predictions, EXACT.scene, world)


def predicted(poses: Float64, **changes: Any) -> Predictions:
    """The exact predictions, with other cameras."""
    return replace(EXACT.predictions, cam_from_world=poses, **changes)


def off(mine: Float64, truth: Float64) -> Float64:
    """(S,) distances of centres, units of the known world, and turns, rad, whichever is larger."""
    apart = np.linalg.norm(invert(mine)[:, :, 3] - invert(truth)[:, :, 3], axis=1)
    turn = rotation_angle_deg(mine[:, :, :3] @ np.swapaxes(truth[:, :, :3], 1, 2))
    return np.maximum(apart, np.radians(turn))


def local_positions(centers: Float64, sigma_m: float | None = None) -> GivenPoses:
    local = {
        name: LocalPosition(x_m=x, y_m=y, z_m=z, sigma_m=sigma_m)
        for name, (x, y, z) in zip(NAMES, centers.tolist(), strict=False)
    }
    return GivenPoses(local=local, source="positions")
