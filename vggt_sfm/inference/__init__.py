"""Predictors: a model on a device, from network images to :class:`Predictions`."""

from __future__ import annotations

from typing import Protocol

from vggt_sfm._checks import Float32
from vggt_sfm._log import Progress
from vggt_sfm.errors import CapabilityError, WeightsError
from vggt_sfm.inference.embedded import EmbeddedPredictor
from vggt_sfm.inference.vggt import VggtPredictor
from vggt_sfm.models.choice import EMBEDDED, PredictConfig
from vggt_sfm.models.device import select_device
from vggt_sfm.models.store import find_weights
from vggt_sfm.scene import Predictions, Scene

__all__ = ["Predictor", "open_predictor", "select_device"]


class Predictor(Protocol):
    """A model that loads its weights when it is first called."""

    name: str
    weights_sha256: str
    licence: str
    """Of the weights."""
    commit: str | None
    """Of the hub repository that the weights came from, where they did."""
    device: str
    advice: str | None
    """One line for the user on how to do better; None where there is nothing to say."""
    needs_images: bool
    """Whether it looks at network images; without, there may be none."""

    def __call__(self, images: Float32, scene: Scene, progress: Progress) -> Predictions:
        """Predict from (S, 3, H, W) network images in [0, 1]."""


def open_predictor(
    config: PredictConfig, progress: Progress | None = None, *, keep: bool = False
) -> Predictor:
    """Find the chosen model; its weights are hashed now and loaded when they are needed.

    Args:
        config: Which model, and how it is to run.
        progress: Where a download is reported.
        keep: Whether the weights stay in memory between calls, for many scenes in a row.

    Raises:
        WeightsError: If its weights are missing, or a path leads to the embedded model's.
        CapabilityError: If the device is not there, or the model lacks what is asked of it.
    """
    device = select_device(config.device)
    found = find_weights(config, progress=progress)
    if found.record is None or found.record.name != EMBEDDED:
        return VggtPredictor(found, config, device, keep=keep)
    if config.weights is not None:
        raise WeightsError(f"{config.weights}: is the embedded model; leave --weights out")
    if config.point_source == "point-head":
        raise CapabilityError(
            "--point-source point-head: the embedded model has no point head; use --point-source "
            "depth, or a VGGT with --weights or --model"
        )
    return EmbeddedPredictor(found.path, found.sha256, found.licence, device)
