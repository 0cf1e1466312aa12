"""The model inside the package as a predictor."""

from __future__ import annotations

from pathlib import Path

import torch

from vggt_sfm._checks import Float32
from vggt_sfm._log import Progress
from vggt_sfm.models.choice import EMBEDDED
from vggt_sfm.models.tiny.model import TinyModel
from vggt_sfm.scene import Predictions, Scene


class EmbeddedPredictor:
    """The small model that needs no download."""

    name = EMBEDDED
    commit: str | None = None
    needs_images = True
    advice: str | None = (
        "embedded model 'tiny': small, offline, rough cameras. VGGT-1B is far better: --model "
        "vggt-1b downloads it (5 GB, not for commercial use), --weights PATH takes your copy"
    )

    def __init__(self, weights: Path, sha256: str, licence: str, device: torch.device) -> None:
        self.weights_sha256 = sha256
        self.licence = licence
        self.device = device.type
        self._weights = weights

    def __call__(self, images: Float32, scene: Scene, progress: Progress) -> Predictions:
        """Load the model and predict; see ``Predictor``."""
        model = TinyModel.load(self._weights, torch.device(self.device))
        return model.predict(images, scene, progress)
