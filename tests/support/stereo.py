"""Two cameras side by side on a rig that is carried around a cloud of points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from synthetic import SyntheticScene, orbit, synthetic_scene, with_frames

from vggt_sfm.ba.knowledge import KnownRig, KnownSensor, plain_pose
from vggt_sfm.geometry.rigid import compose

Float64 = NDArray[np.float64]

MOMENTS = 6
LEFT = [f"left/{n}.png" for n in range(MOMENTS)]
RIGHT = [f"right/{n}.png" for n in range(MOMENTS)]
# The right camera beside the left one, turned a little inwards and around its axis.
RIGHT_FROM_LEFT = np.column_stack(
    [Rotation.from_euler("yz", [-6, 15], degrees=True).as_matrix(), [-0.5, 0.05, 0.1]]
)
IN_METRES = 0.25  # the rig's own unit, in units of the scene


def stereo_scene(**options: Any) -> SyntheticScene:
    """The exact scene; images of the left camera come first."""
    left = orbit(MOMENTS, 70)
    poses = np.concatenate([left, compose(RIGHT_FROM_LEFT, left)])
    data = synthetic_scene(num_frames=2 * MOMENTS, poses=poses, **options)
    sides = ["left"] * MOMENTS + ["right"] * MOMENTS
    return with_frames(data, name=LEFT + RIGHT, camera_key=sides)


def stereo_rig(right_from_left: Float64 | None = None, pairs: list[int] | None = None) -> KnownRig:
    """What is known of it; ``pairs`` has the number of the right image of each moment."""
    pose = None if right_from_left is None else plain_pose(right_from_left)
    return KnownRig(
        sensors=(KnownSensor(name="left/"), KnownSensor(name="right/", cam_from_rig=pose)),
        moments=tuple(zip(LEFT, [RIGHT[n] for n in pairs or range(MOMENTS)], strict=True)),
    )


def in_metres() -> Float64:
    """(3, 4) true pose of the right camera in metres."""
    return np.column_stack([RIGHT_FROM_LEFT[:, :3], IN_METRES * RIGHT_FROM_LEFT[:, 3]])
