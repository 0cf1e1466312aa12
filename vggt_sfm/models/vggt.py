"""The whole network: images of a scene to cameras, depth and world points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vggt_sfm.models.aggregator import Aggregator
from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.heads.camera import CameraHead
from vggt_sfm.models.heads.dense import DenseHead
from vggt_sfm.models.heads.track import TrackHead


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VGGTOutput:
    """What a VGGT says about B scenes of S frames of H x W pixels; None where it has no head."""

    pose_enc_iters: Tensor | None = None  # (iterations, B, S, 9), see pose_encoding; last is best
    depth: Tensor | None = None  # (B, S, H, W, 1) along the optical axis, scene units
    depth_conf: Tensor | None = None  # (B, S, H, W) at least 1, higher is better
    world_points: Tensor | None = None  # (B, S, H, W, 3) scene units
    world_points_conf: Tensor | None = None  # (B, S, H, W) at least 1, higher is better
    track_iters: Tensor | None = None  # (iterations, B, S, N, 2) px, pixel centres at integers
    vis: Tensor | None = None  # (B, S, N) visibility, 0 to 1
    conf: Tensor | None = None  # (B, S, N) confidence, 0 to 1


class VGGT(nn.Module):
    """Visual geometry grounded transformer with the published state-dict names.

    Source: Wang et al. 2025, VGGT: Visual Geometry Grounded Transformer.
    """

    def __init__(self, config: VGGTConfig) -> None:
        super().__init__()
        self.config = config
        self.aggregator = Aggregator(config)
        self.camera_head = CameraHead(config) if config.enable_camera else None
        self.point_head = DenseHead(config, "point") if config.enable_point else None
        self.depth_head = DenseHead(config, "depth") if config.enable_depth else None
        self.track_head = TrackHead(config) if config.enable_track else None

    def forward(
        self, images: Tensor, query_xy: Tensor | None = None, *, frames_per_chunk: int = 8
    ) -> VGGTOutput:
        """Reconstruct each scene from its frames.

        Args:
            images: (B, S, 3, H, W) RGB in [0, 1]; H and W multiples of the patch size.
            query_xy: (B, N, 2) pixels of frame 0 to track, pixel centres at integers; only read
                by the track head, which does nothing without them.
            frames_per_chunk: Frames that the dense heads hold in memory at once; no effect on
                values.

        Returns:
            The heads' outputs. Heads run outside autocast, in their parameters' precision; only
            the track head follows it, as published.

        Raises:
            ValueError: If the shapes do not fit, or the images are too small to be tracked in.
        """
        self._check_images(images)
        if query_xy is not None:
            _check_queries(query_xy, len(images))
        layers = self.aggregator(images)
        size = (images.shape[-2], images.shape[-1])
        output = self.read(layers, size, frames_per_chunk=frames_per_chunk)
        if self.track_head is None or query_xy is None:
            return output
        iterations, visibility, confidence = self.track_head(
            layers, size, query_xy, frames_per_chunk=frames_per_chunk
        )
        return replace(output, track_iters=iterations, vis=visibility, conf=confidence)

    def read(
        self, layers: Mapping[int, Tensor], size: tuple[int, int], *, frames_per_chunk: int = 8
    ) -> VGGTOutput:
        """Let every head but the track head read what the aggregator made of the images.

        Args:
            layers: (B, S, P, 2C) tokens for each layer that heads read.
            size: Height and width of the images, px.
            frames_per_chunk: As in ``forward``.

        Returns:
            The heads' outputs, without tracks.
        """
        output: dict[str, Tensor] = {}
        with torch.autocast(self.aggregator.camera_token.device.type, enabled=False):
            if self.camera_head is not None:
                output["pose_enc_iters"] = self.camera_head(layers[self.config.depth - 1])
            if self.depth_head is not None:
                output["depth"], output["depth_conf"] = self.depth_head(
                    layers, size, frames_per_chunk=frames_per_chunk
                )
            if self.point_head is not None:
                output["world_points"], output["world_points_conf"] = self.point_head(
                    layers, size, frames_per_chunk=frames_per_chunk
                )
        return VGGTOutput(**output)

    def _check_images(self, images: Tensor) -> None:
        patch = self.config.patch_size
        shape = tuple(images.shape)
        if len(shape) != 5 or shape[2] != 3 or 0 in shape:
            raise ValueError(f"VGGT: images must have shape (B, S, 3, H, W), got {shape}")
        if shape[3] % patch or shape[4] % patch:
            raise ValueError(
                f"VGGT: height and width must be multiples of {patch}, got {shape[3]} x {shape[4]}"
            )
        if not images.is_floating_point():
            raise ValueError(f"VGGT: images must be floating point in [0, 1], got {images.dtype}")


def _check_queries(query_xy: Tensor, num_scenes: int) -> None:
    shape = tuple(query_xy.shape)
    if len(shape) != 3 or (shape[0], shape[2]) != (num_scenes, 2):
        raise ValueError(f"VGGT: query_xy must have shape ({num_scenes}, N, 2), got {shape}")
