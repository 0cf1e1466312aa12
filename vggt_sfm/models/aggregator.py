"""Images to tokens: encoder, then attention alternating within and across frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.layers import Block, PatchEmbed, Rope, grid_positions, rope

ENCODER_NORM_EPS = 1e-6  # DINOv2's, unlike all that follows

# Mean and deviation of ImageNet's RGB, which DINOv2 was trained with.
_RGB_MEAN = (0.485, 0.456, 0.406)
_RGB_STD = (0.229, 0.224, 0.225)


class DinoEncoder(nn.Module):
    """DINOv2 vision transformer with register tokens.

    Source: Oquab et al. 2023, DINOv2; Darcet et al. 2023, Vision Transformers Need Registers.
    """

    def __init__(self, config: VGGTConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.grid = config.img_size // config.patch_size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + self.grid**2, dim))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.num_register_tokens, dim))
        # Only read while DINOv2 itself is trained, but part of every checkpoint.
        self.mask_token = nn.Parameter(torch.zeros(1, dim))
        self.patch_embed = PatchEmbed(config.patch_size, dim)
        self.blocks = nn.ModuleList(
            Block(dim, config.encoder_heads, eps=ENCODER_NORM_EPS, layer_scale=1.0)
            for _ in range(config.encoder_depth)
        )
        self.norm = nn.LayerNorm(dim, ENCODER_NORM_EPS)

    def position_table(self, rows: int, columns: int) -> Tensor:
        """Return the (1, 1 + rows · columns, C) positions of the class token and a patch grid."""
        if rows == columns == self.grid:
            return self.pos_embed
        patches = self.pos_embed[:, 1:].reshape(1, self.grid, self.grid, -1)
        # Not implemented for half precision everywhere, and too coarse in it.
        patches = patches.to(torch.promote_types(patches.dtype, torch.float32))
        resized = F.interpolate(
            patches.permute(0, 3, 1, 2),
            size=(rows, columns),
            mode="bicubic",
            align_corners=False,
            antialias=True,
        )
        resized = resized.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)
        return torch.cat([self.pos_embed[:, :1], resized], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised images to (N, gh · gw, C) patch tokens."""
        patches = self.patch_embed(images)
        patch_size = self.patch_embed.proj.stride[0]
        rows, columns = images.shape[-2] // patch_size, images.shape[-1] // patch_size
        n = len(images)
        tokens = torch.cat([self.cls_token.expand(n, -1, -1), patches], dim=1)
        tokens = tokens + self.position_table(rows, columns)
        registers = self.register_tokens.expand(n, -1, -1)
        tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        normalized: Tensor = self.norm(tokens)
        return normalized[:, 1 + registers.shape[1] :]


class Aggregator(nn.Module):
    """Alternating attention: each frame by itself, then all frames together, and again.

    The other patterns of ``VGGTConfig.attention`` are for comparison with it.

    Source: Wang et al. 2025, VGGT, section 3.2; table 5 for the other patterns.
    """

    def __init__(self, config: VGGTConfig) -> None:
        super().__init__()
        dim, heads = config.embed_dim, config.num_heads
        self.patch_size = config.patch_size
        self.head_dim = dim // heads
        self.pattern = config.attention
        self.read_layers = frozenset(config.read_layers)
        # Slot 0 is for the first frame of a scene, slot 1 for every other frame.
        self.camera_token = nn.Parameter(0.02 * torch.randn(1, 2, 1, dim))
        self.register_token = nn.Parameter(
            0.02 * torch.randn(1, 2, config.num_register_tokens, dim)
        )
        self.patch_embed: nn.Module = (
            DinoEncoder(config)
            if config.patch_embed == "dinov2"
            else PatchEmbed(config.patch_size, dim)
        )
        self.frame_blocks, self.global_blocks = (
            nn.ModuleList(Block(dim, heads, qk_norm=True) for _ in range(config.depth))
            for _ in range(2)
        )

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Turn the frames of B scenes into tokens.

        Args:
            images: (B, S, 3, H, W) in [0, 1]; H and W multiples of the patch size.

        Returns:
            For each layer that a head reads, (B, S, P, 2C) tokens: the camera token, the
            register tokens, the patches row-major. The first C channels are the frame block's
            output, the others the global block's.
        """
        num_scenes, num_frames, _, height, width = images.shape
        patches = self.patch_embed(self._normalize(images).flatten(0, 1))  # (B·S, gh·gw, C)
        special = self._special_tokens(num_scenes, num_frames)
        tokens = torch.cat([special, patches], dim=1)  # (B·S, P, C)
        turn = self._rope(height // self.patch_size, width // self.patch_size, special)

        tokens = tokens.view(num_scenes, num_frames, *tokens.shape[1:])  # (B, S, P, C)
        seen = self._seen(tokens)
        layers: dict[int, Tensor] = {}
        pairs = zip(self.frame_blocks, self.global_blocks, strict=True)
        for i, (frame_block, global_block) in enumerate(pairs):
            if self.pattern == "alternating":
                within = frame_block(tokens.flatten(0, 1), turn).view_as(tokens)
            else:
                within = frame_block(tokens.flatten(1, 2), turn, seen).view_as(tokens)
            tokens = global_block(within.flatten(1, 2), turn, seen).view_as(tokens)
            if i in self.read_layers:
                layers[i] = torch.cat([within, tokens], dim=-1)
        return layers

    def _seen(self, tokens: Tensor) -> Tensor | None:
        """Return the (S·P, S·P) mask of what is attended to across frames; None: everything."""
        num_frames, num_tokens = tokens.shape[1:3]
        if self.pattern != "cross" or num_frames == 1:
            return None  # a lone frame has no others and attends to itself
        frame = torch.arange(num_frames, device=tokens.device).repeat_interleave(num_tokens)
        return frame[:, None] != frame

    def _normalize(self, images: Tensor) -> Tensor:
        images = images.to(self.camera_token.dtype)
        mean = images.new_tensor(_RGB_MEAN)[:, None, None]
        return (images - mean) / images.new_tensor(_RGB_STD)[:, None, None]

    def _special_tokens(self, num_scenes: int, num_frames: int) -> Tensor:
        """Return the (B·S, 1 + R, C) camera and register tokens."""
        slots = torch.cat([self.camera_token, self.register_token], dim=2)[0]  # (2, 1 + R, C)
        frames = torch.cat([slots[:1], slots[1:].expand(num_frames - 1, -1, -1)])
        return frames.repeat(num_scenes, 1, 1)

    def _rope(self, rows: int, columns: int, special: Tensor) -> Rope:
        """Return the rotation of one frame's tokens: special ones at 0, patches from (1, 1)."""
        patches = grid_positions(rows, columns, special.device) + 1
        positions = F.pad(patches, (0, 0, special.shape[1], 0))
        return rope(positions, self.head_dim)
