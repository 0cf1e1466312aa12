"""All tasks of a VGGT as one loss."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vggt_sfm.models.checkpoint import WeightsPrecision
from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.layers import Recomputable
from vggt_sfm.models.vggt import VGGT, VGGTOutput
from vggt_sfm.training.loop import Loss
from vggt_sfm.training.multitask.batch import SceneBatch, make_targets
from vggt_sfm.training.multitask.losses import (
    camera_loss,
    dense_loss,
    likelihood_loss,
    track_loss,
)
from vggt_sfm.training.multitask.tracks import TrackTargets, make_tracks

Task = Literal["camera", "depth", "points", "tracks"]
Terms = Mapping[str, tuple[float, Tensor]]
ExtraTerm = Callable[[SceneBatch], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiTaskConfig:
    """What each task counts, and the constants of the losses; a task of weight 0 is off."""

    camera: float = 1.0
    depth: float = 1.0
    points: float = 1.0
    tracks: float = 0.05
    """The paper's; so the others' equal weights."""
    alpha: float = 0.2
    """Reward of certainty in the dense losses, as in DUSt3R (the paper names no value)."""
    huber: float = 0.1
    """Where the camera loss becomes linear."""
    camera_fading: float = 0.6
    """Weight of an iteration of the camera head relative to the one after it."""
    track_fading: float = 0.8
    """The same for the track head, as in CoTracker."""
    tracks_a_scene: int = 128
    """Points that are followed through each scene."""
    confident_px: float = 12.0
    """A track nearer than this to the truth should be confident, as in CoTracker3."""
    precision: WeightsPrecision = "bfloat16"
    """Arithmetic of the trunk and the track head; other heads and all losses are in float32."""
    recompute: bool = True
    """Keep few activations and compute the others again."""

    def __post_init__(self) -> None:
        if not (self.camera or self.depth or self.points or self.tracks):
            raise ValueError("MultiTaskConfig: all tasks are off")

    def without(self, tasks: Collection[Task]) -> MultiTaskConfig:
        """Switch some tasks off."""
        return replace(
            self,
            camera=0.0 if "camera" in tasks else self.camera,
            depth=0.0 if "depth" in tasks else self.depth,
            points=0.0 if "points" in tasks else self.points,
            tracks=0.0 if "tracks" in tasks else self.tracks,
        )


def architecture_for(config: VGGTConfig, tasks: MultiTaskConfig) -> VGGTConfig:
    """Leave out the heads of tasks that are off."""
    return replace(
        config,
        enable_camera=tasks.camera > 0,
        enable_depth=tasks.depth > 0,
        enable_point=tasks.points > 0,
        enable_track=tasks.tracks > 0,
    )


class MultiTask:
    """The objective of the training loop for a VGGT.

    Scenes count by their number of frames, so that a batch may be dealt out to parts and
    processes in any way.

    Args:
        model: With heads for all tasks that are on.
        config: Weights and constants.
        extra: More terms by name, each with its weight, such as a matching loss of the same
            frames.
    """

    def __init__(
        self,
        model: VGGT,
        config: MultiTaskConfig,
        extra: Mapping[str, tuple[float, ExtraTerm]] | None = None,
    ) -> None:
        if architecture_for(model.config, config) != model.config:
            raise ValueError("MultiTask: the model's heads are not those of the tasks that are on")
        self._model = model
        self._config = config
        self._extra = dict(extra or {})
        for module in model.modules():
            if isinstance(module, Recomputable):
                module.recompute = config.recompute

    def __call__(
        self, parts: Sequence[SceneBatch], rng: np.random.Generator, step: int
    ) -> Iterator[Loss]:
        """Yield the loss of each part, weighted by its share of the frames."""
        frames = sum(part.num_frames for part in parts)
        for part in parts:
            share = part.num_frames / frames
            terms = self.terms(part)
            value = share * torch.stack([weight * term for weight, term in terms.values()]).sum()
            yield Loss(
                value, {name: share * float(term.detach()) for name, (_, term) in terms.items()}
            )

    def terms(self, batch: SceneBatch) -> Terms:
        """Return the loss of every task that is on, and its weight."""
        tracks = make_tracks(batch, self._config.tracks_a_scene) if self._config.tracks else None
        low = torch.autocast(
            batch.images.device.type,
            torch.bfloat16,
            enabled=self._config.precision == "bfloat16",
        )
        with low:
            output = self._model(batch.images, None if tracks is None else tracks.xy[:, 0])
        terms = dict(_scene_terms(output, batch, self._config))
        if tracks is not None:
            terms |= _track_terms(output, tracks, self._config)
        for name, (weight, term) in self._extra.items():
            terms[name] = (weight, term(batch))
        return terms


def _scene_terms(output: VGGTOutput, batch: SceneBatch, config: MultiTaskConfig) -> Terms:
    """Cameras, depth and points."""
    truth = make_targets(batch)
    terms = {}
    if output.pose_enc_iters is not None:
        terms["camera"] = (
            config.camera,
            camera_loss(
                output.pose_enc_iters,
                truth.pose_encoding,
                huber=config.huber,
                fading=config.camera_fading,
            ),
        )
    for name, weight, values, confidence, true in (
        ("depth", config.depth, output.depth, output.depth_conf, truth.depth),
        ("points", config.points, output.world_points, output.world_points_conf, truth.points),
    ):
        if values is not None and confidence is not None:
            loss = dense_loss(values, confidence, true, truth.valid, alpha=config.alpha)
            terms[name] = weight, loss
    return terms


def _track_terms(output: VGGTOutput, truth: TrackTargets, config: MultiTaskConfig) -> Terms:
    """Places, visibility and confidence in the frames after the queries' own."""
    if output.track_iters is None or output.vis is None or output.conf is None:
        return {}
    estimates, xy, placed = output.track_iters[:, :, 1:], truth.xy[:, 1:], truth.placed[:, 1:]
    visibility, confidence = output.vis[:, 1:].float(), output.conf[:, 1:].float()
    error_px = torch.linalg.vector_norm(estimates[-1].detach() - xy, dim=-1)
    terms = {
        "tracks": track_loss(estimates, xy, placed, fading=config.track_fading),
        "visibility": likelihood_loss(visibility, truth.visible[:, 1:], truth.judged[:, 1:]),
        "confidence": likelihood_loss(confidence, error_px < config.confident_px, placed),
    }
    return {name: (config.tracks, term) for name, term in terms.items()}
