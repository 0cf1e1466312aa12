"""Which way is up, guessed from how photographs are held."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float64

# Squared spread of the cameras' horizontal axes: across the plane they lie in if photographs are
# level, and how much more than out of it (an inclination of 10 degrees is 0.03).
_LEAST_TURN = 0.03
_LEAST_RATIO = 5.0


def up_guess(cam_from_world: Float64) -> Float64:
    """Guess the upward direction of a model.

    Photographs are rarely rolled, so that up is perpendicular to the horizontal axes of all
    cameras. Where all look the same way, it is against their vertical axes.

    Args:
        cam_from_world: (S, 3, 4) OpenCV axes, S >= 1.

    Returns:
        (3,) unit vector in the model's world.
    """
    right, down, forward = np.moveaxis(cam_from_world[:, :, :3], 1, 0)
    mean_up = -down.mean(axis=0)
    spread, axes = np.linalg.eigh(right.T @ right / len(right))
    if spread[1] > max(_LEAST_TURN, _LEAST_RATIO * spread[0]):
        normal = axes[:, 0]
        # Straight down, a camera's vertical axis says nothing; but then it looks down.
        upward = normal @ (mean_up - 0.5 * forward.mean(axis=0))
        return np.asarray(normal if upward >= 0 else -normal)
    length = np.linalg.norm(mean_up)
    return mean_up / length if length > 0 else np.array([0.0, -1.0, 0.0])
