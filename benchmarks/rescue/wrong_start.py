"""A predictor whose cameras are DISTURBED on purpose: a start that is wrong, from a real network.

What comes of it says nothing about any network. Depth and matches are left as predicted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float32, Float64
from vggt_sfm._log import Progress
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.inference import Predictor
from vggt_sfm.scene import Predictions, Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """Which cameras are wrong, and how."""

    cameras: int | None = None
    """How many, drawn by chance; None: all."""
    how: Literal["turned", "exchanged"] = "turned"
    """turned: each about its centre and an axis of its own. exchanged: each has another's place."""
    degrees: float = 60.0
    """Of a turn."""
    seed: int = 0


def disturbed_cameras(poses: Float64, disturbance: Disturbance) -> Float64:
    """Return (S, 3, 4) cam_from_world of which some are wrong.

    Raises:
        ValueError: If there are fewer cameras than are to be wrong.
    """
    rng = np.random.default_rng(disturbance.seed)
    count = len(poses) if disturbance.cameras is None else disturbance.cameras
    rows = rng.choice(len(poses), count, replace=False)
    result = poses.copy()
    if disturbance.how == "exchanged":
        result[rows] = poses[np.roll(rows, 1)]
        return result
    axes = rng.standard_normal((count, 3))
    axes *= np.deg2rad(disturbance.degrees) / np.linalg.norm(axes, axis=1, keepdims=True)
    result[rows, :, :3] = Rotation.from_rotvec(axes).as_matrix() @ poses[rows, :, :3]
    result[:, :, 3:] = -result[:, :, :3] @ invert(poses)[:, :, 3:]
    return result


class DisturbedPredictor:
    """Another predictor with wrong cameras; a :class:`~vggt_sfm.inference.Predictor`."""

    def __init__(self, predictor: Predictor, disturbance: Disturbance) -> None:
        """Predict nothing yet.

        Args:
            predictor: The real one.
            disturbance: What is done to its cameras.
        """
        self.name = f"{predictor.name}, DISTURBED: {disturbance}"
        self.weights_sha256 = predictor.weights_sha256
        self.licence = predictor.licence
        self.commit = predictor.commit
        self.device = predictor.device
        self.advice: str | None = None
        self.needs_images = predictor.needs_images
        self._predictor, self._disturbance = predictor, disturbance

    def __call__(self, images: Float32, scene: Scene, progress: Progress) -> Predictions:
        """Predict, then disturb; see ``Predictor``."""
        found = self._predictor(images, scene, progress)
        return replace(
            found,
            cam_from_world=disturbed_cameras(found.cam_from_world, self._disturbance),
            camera_sources=tuple(f"disturbed {source}" for source in found.camera_sources),
        )
