"""SIMULATED predictor for unit tests: true cameras, disturbed, where a network would guess them.

It stands for the network only. Everything after it is the product's own code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from photos import TRUTH_FILE
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float32
from vggt_sfm._log import Progress
from vggt_sfm.models.choice import PredictConfig, Preprocessing
from vggt_sfm.scene import Predictions, Scene

_ROTATION_ERROR_DEG = 3.0
_FOCAL_FACTOR = 1.1
_DEPTH = 4.5


class SimulatedPredictor:
    """Reads the cameras from ``truth.json`` beside the image folder and makes them worse."""

    name = "simulated"
    weights_sha256 = "0" * 64
    licence = "none, it is simulated"
    commit: str | None = None
    device = "cpu"
    advice: str | None = "the predictor is simulated"
    needs_images = True

    def __call__(self, images: Float32, scene: Scene, progress: Progress) -> Predictions:
        rng = np.random.default_rng(0)
        poses, intrinsics = [], []
        with progress.task("network", len(scene.frames)) as task:
            for frame, pixel_map in zip(scene.frames, scene.pixel_maps, strict=True):
                path = Path(frame.path).parent.parent / TRUTH_FILE
                truth = json.loads(path.read_text()) if path.is_file() else {}
                camera = truth.get(Path(frame.name).stem, {})
                pose = np.array(camera.get("cam_from_world", np.eye(3, 4)))
                turn = Rotation.from_rotvec(np.radians(rng.normal(0, _ROTATION_ERROR_DEG, 3)))
                poses.append(turn.as_matrix() @ pose)
                focal = _FOCAL_FACTOR * camera.get("focal", max(frame.size)) * pixel_map.scale[0]
                x, y = pixel_map.to_network(np.array(frame.size) / 2)
                intrinsics.append([[focal, 0, x], [0, focal, y], [0, 0, 1]])
                task.advance()
        count, _, height, width = images.shape
        return Predictions(
            cam_from_world=np.array(poses),
            intrinsics=np.array(intrinsics),
            depth=np.full((count, height, width), _DEPTH, np.float32),
            depth_confidence=np.ones((count, height, width), np.float32),
            camera_sources=("simulated",) * count,
        )


def install(put: Callable[[object, str, object], None] = setattr) -> None:
    """Put the simulated predictor where the pipeline opens the network."""
    from vggt_sfm.pipelines import prepare, reconstruct

    def opened(config: PredictConfig, progress: Progress) -> SimulatedPredictor:
        return SimulatedPredictor()

    def preprocessing(config: PredictConfig) -> Preprocessing:
        return Preprocessing("fit", 224, 14)

    put(reconstruct, "open_predictor", opened)
    put(prepare, "model_preprocessing", preprocessing)
