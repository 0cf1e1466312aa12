"""Camera head: a pose encoding per frame, refined iteratively."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.layers import LAYER_NORM_EPS, Block, Mlp

ADAPTIVE_NORM_EPS = 1e-6


class CameraHead(nn.Module):
    """Regress pose encodings from the frames' camera tokens.

    Source: Wang et al. 2025, VGGT, section 3.3; Peebles and Xie 2023, DiT, for the modulation.
    """

    def __init__(self, config: VGGTConfig) -> None:
        super().__init__()
        dim = 2 * config.embed_dim
        self.iterations = config.camera_iterations
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, 9))
        self.trunk = nn.ModuleList(
            Block(dim, config.camera_heads) for _ in range(config.camera_depth)
        )
        self.token_norm = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.trunk_norm = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.embed_pose = nn.Linear(9, dim)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 3 * dim))
        self.adaptive_norm = nn.LayerNorm(dim, ADAPTIVE_NORM_EPS, elementwise_affine=False)
        self.pose_branch = Mlp(dim, dim // 2, 9)

    def forward(self, tokens: Tensor) -> Tensor:
        """Estimate the cameras of every scene's frames.

        Args:
            tokens: (B, S, P, 2C) of the last attention layer; only token 0 is read.

        Returns:
            (iterations, B, S, 9) pose encodings, the last iteration's being the estimate.
        """
        camera_tokens = self.token_norm(tokens[:, :, 0].to(self.token_norm.weight.dtype))
        # Accumulated without its activation, which only the returned copies get.
        raw: Tensor | None = None
        estimates = []
        for _ in range(self.iterations):
            # Each refinement is trained on its own: no gradient into the one before.
            previous = self.empty_pose_tokens if raw is None else raw.detach()
            delta = self.pose_branch(self._refine(camera_tokens, self.embed_pose(previous)))
            raw = delta if raw is None else raw + delta
            estimates.append(torch.cat([raw[..., :7], F.relu(raw[..., 7:])], dim=-1))
        return torch.stack(estimates)

    def _refine(self, camera_tokens: Tensor, pose: Tensor) -> Tensor:
        """Let (B, S, 2C) camera tokens, modulated by the embedded pose, attend to each other."""
        shift, scale, gate = self.poseLN_modulation(pose).chunk(3, dim=-1)
        modulated = self.adaptive_norm(camera_tokens) * (1 + scale) + shift
        x = gate * modulated + camera_tokens
        for block in self.trunk:
            x = block(x)
        refined: Tensor = self.trunk_norm(x)
        return refined
