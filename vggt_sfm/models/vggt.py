"""The whole network: images of a scene to cameras, depth and world points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vggt_sfm.errors import CapabilityError
from vggt_sfm.models.aggregator import Aggregator
from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.heads.camera import CameraHead
from vggt_sfm.models.heads.dense import DenseHead


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

    Raises:
        CapabilityError: If the configuration asks for the track head.
    """

    def __init__(self, config: VGGTConfig) -> None:
        super().__init__()
        if config.enable_track:
            raise CapabilityError("VGGT has no track head yet; use enable_track=False")
        self.config = config
        self.aggregator = Aggregator(config)
        self.camera_head = CameraHead(config) if config.enable_camera else None
        self.point_head = DenseHead(config, "point") if config.enable_point else None
        self.depth_head = DenseHead(config, "depth") if config.enable_depth else None

    def forward(
        self, images: Tensor, query_xy: Tensor | None = None, *, frames_per_chunk: int = 8
    ) -> VGGTOutput:
        """Reconstruct each scene from its frames.

        Args:
            images: (B, S, 3, H, W) RGB in [0, 1]; H and W multiples of the patch size.
            query_xy: (B, N, 2) pixels of frame 0 to track; only read by the track head.
            frames_per_chunk: Frames that the dense heads hold in memory at once; no effect on
                values.

        Returns:
            The heads' outputs. Heads run outside autocast, in their parameters' precision.

        Raises:
            ValueError: If the images' shape does not fit.
        """
        self._check_images(images)
        layers = self.aggregator(images)
        height, width = images.shape[-2:]
        output: dict[str, Tensor] = {}
        with torch.autocast(images.device.type, enabled=False):
            if self.camera_head is not None:
                output["pose_enc_iters"] = self.camera_head(layers[self.config.depth - 1])
            if self.depth_head is not None:
                output["depth"], output["depth_conf"] = self.depth_head(
                    layers, (height, width), frames_per_chunk=frames_per_chunk
                )
            if self.point_head is not None:
                output["world_points"], output["world_points_conf"] = self.point_head(
                    layers, (height, width), frames_per_chunk=frames_per_chunk
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
