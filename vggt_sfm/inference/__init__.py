"""Predictors: a model on a device, from network images to :class:`Predictions`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from vggt_sfm._checks import Float32
from vggt_sfm._log import Progress
from vggt_sfm.errors import CapabilityError, WeightsError
from vggt_sfm.models.choice import Device, PredictConfig
from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.pose_encoding import decode_cameras
from vggt_sfm.models.tiny.model import TinyModel
from vggt_sfm.models.weights import file_sha256, load_vggt
from vggt_sfm.scene import Predictions, Scene, Size

EMBEDDED_WEIGHTS = Path(__file__).parent / "models" / "weights" / "tiny.safetensors"


class Predictor(Protocol):
    """A model that loads its weights when it is first called."""

    name: str
    weights_sha256: str
    device: str
    advice: str | None
    """One line for the user on how to do better; None where there is nothing to say."""

    def __call__(self, images: Float32, scene: Scene, progress: Progress) -> Predictions:
        """Predict from (S, 3, H, W) network images in [0, 1]."""


def open_predictor(config: PredictConfig) -> Predictor:
    """Find the chosen model; its weights are hashed now and loaded when they are needed.

    Raises:
        WeightsError: If its weights are missing.
        CapabilityError: If the device is not there.
    """
    device = select_device(config.device)
    if config.weights is None:
        return _EmbeddedPredictor(device)
    return _VggtPredictor(config.weights, device)


def select_device(name: Device) -> torch.device:
    """Turn ``auto`` into the best device that is there, and check any other.

    Raises:
        CapabilityError: If the device is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(d for d, ok in there.items() if ok))
    if not there[name]:
        raise CapabilityError(f"--device {name}: this machine has none; use --device auto")
    return torch.device(name)


class _EmbeddedPredictor:
    """The model inside the package."""

    name = "tiny"
    advice: str | None = (
        "embedded model 'tiny': small, offline, rough cameras. VGGT-1B is far better: obtain its "
        "checkpoint from its publisher (facebook/VGGT-1B) and pass --weights PATH"
    )

    def __init__(self, device: torch.device) -> None:
        if not EMBEDDED_WEIGHTS.is_file():
            raise WeightsError(f"{EMBEDDED_WEIGHTS}: missing from this installation; reinstall")
        self.weights_sha256 = file_sha256(EMBEDDED_WEIGHTS)
        self.device = device.type

    def __call__(self, images: Float32, scene: Scene, progress: Progress) -> Predictions:
        model = TinyModel.load(EMBEDDED_WEIGHTS, torch.device(self.device))
        return model.predict(images, scene, progress)


class _VggtPredictor:
    """A VGGT checkpoint of the user's."""

    name = "vggt-1b"
    advice: str | None = None

    def __init__(self, weights: Path, device: torch.device) -> None:
        self.weights_sha256 = file_sha256(weights)
        self.device = device.type
        self._weights = weights

    @torch.inference_mode()
    def __call__(self, images: Float32, scene: Scene, progress: Progress) -> Predictions:
        frames, _, height, width = images.shape
        # the point head says nothing that Predictions hold
        config = replace(VGGTConfig.preset("vggt-1b"), enable_point=False)
        model = load_vggt(self._weights, config).to(self.device).eval()
        with progress.task("network", 1) as task:
            batch = torch.as_tensor(images, device=self.device)[None]
            # bf16 where the hardware has it; the heads leave autocast by themselves
            with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
                output = model(batch)
            task.advance()
        if output.pose_enc_iters is None or output.depth is None or output.depth_conf is None:
            raise WeightsError("the checkpoint's configuration has no camera or no depth head")
        encoding = output.pose_enc_iters[-1, 0].float().cpu().numpy()
        cam_from_world, intrinsics = decode_cameras(encoding, Size(width, height))
        return Predictions(
            cam_from_world=cam_from_world,
            intrinsics=intrinsics,
            depth=np.ascontiguousarray(output.depth[0, ..., 0].float().cpu().numpy()),
            depth_confidence=output.depth_conf[0].float().cpu().numpy(),
            camera_sources=("camera head",) * frames,
        )
