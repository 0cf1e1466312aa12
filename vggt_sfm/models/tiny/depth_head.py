"""Dense depth from the frames' features, the sparse depth of their matches and a sweep of depths.

Tokens of all frames attend to each other in alternating frame and global blocks, as in VGGT
(Wang et al., CVPR 2025), so frames with few matches borrow their scale from the others.
"""

from __future__ import annotations

import torch
from torch import nn

from vggt_sfm.models.layers import Block, grid_positions, rope
from vggt_sfm.models.tiny.network import ConvBlock
from vggt_sfm.models.tiny.sweep import HYPOTHESES

_HEADS = 4
CELLS = 4  # depth values a side in each cell
DEPTH_SCALE = 2  # the head sees the backbone's features at half their resolution


class DepthHead(nn.Module):
    """Complete sparse log depth to dense log depth with a confidence."""

    def __init__(self, lateral: int, width: int = 192, pairs: int = 2) -> None:
        """Build the head.

        Args:
            lateral: Channels of the backbone's coarse features.
            width: Channels of tokens and maps in the head.
            pairs: Number of frame and global block pairs.
        """
        super().__init__()
        self.enter = nn.Conv2d(lateral + 2, width, 1)
        self.enter_sweep = nn.Sequential(
            nn.Conv2d(HYPOTHESES, width, 1), nn.GELU(), nn.Conv2d(width, width, 1)
        )
        self.before = ConvBlock(width)
        self.shrink = nn.Conv2d(width, width, 2, stride=2)
        self.frame_blocks = nn.ModuleList(
            Block(width, _HEADS, qk_norm=True, layer_scale=0.1) for _ in range(pairs)
        )
        self.global_blocks = nn.ModuleList(
            Block(width, _HEADS, qk_norm=True, layer_scale=0.1) for _ in range(pairs)
        )
        self.grow = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.after = nn.Sequential(ConvBlock(width), ConvBlock(width))
        self.leave = nn.Conv2d(width, 2 * CELLS**2, 1)
        # untrained, the head repeats the depth it is given
        for last in (self.leave, self.enter_sweep[-1]):
            for name in ("weight", "bias"):
                nn.init.zeros_(last.get_parameter(name))

    def forward(
        self, lateral: torch.Tensor, sparse: torch.Tensor, alike: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict depth for S frames of one scene.

        Args:
            lateral: (S, C, h, w) backbone features; h and w are even.
            sparse: (S, h, w) log depth of the matches, scene units, centred by its median;
                NaN where a cell has none.
            alike: (S, HYPOTHESES, h, w) of a sweep around ``spread(sparse)``; 0: nothing known.

        Returns:
            (S, 4h, 4w) log depth in the same units and (S, 4h, 4w) log of its expected error.
        """
        base = spread(sparse)
        given = torch.stack([base, torch.isfinite(sparse).float()], 1)
        x = self.enter(torch.cat([lateral, given], 1)) + self.enter_sweep(alike)
        x = self.before(x)
        tokens = self.shrink(x)
        rows, columns = tokens.shape[-2:]
        tokens = tokens.flatten(2).transpose(1, 2)  # (S, P, width)
        turn = rope(grid_positions(rows, columns, tokens.device), tokens.shape[-1] // _HEADS)
        for frame_block, global_block in zip(self.frame_blocks, self.global_blocks, strict=True):
            tokens = frame_block(tokens, turn)
            tokens = global_block(tokens.flatten(0, 1)[None], turn)[0].unflatten(
                0, tokens.shape[:2]
            )
        context = tokens.transpose(1, 2).unflatten(2, (rows, columns))
        x = self.after(x + self.grow(context))
        log_depth, log_error = nn.functional.pixel_shuffle(self.leave(x), CELLS).unbind(1)
        smooth = nn.functional.interpolate(
            base[:, None], scale_factor=float(CELLS), mode="bilinear", align_corners=False
        )
        return smooth[:, 0] + log_depth, log_error.clamp(-6, 3)


def spread(sparse: torch.Tensor) -> torch.Tensor:
    """Fill the NaN of (S, h, w) maps from known cells ever farther away; 0 where there is none."""
    filled = torch.isfinite(sparse)
    values = torch.where(filled, sparse, torch.zeros_like(sparse))
    mass = filled.to(values.dtype)
    result = values
    for reach in (3, 9, 27):
        near = nn.functional.avg_pool2d(values[:, None], reach, 1, reach // 2)[:, 0]
        count = nn.functional.avg_pool2d(mass[:, None], reach, 1, reach // 2)[:, 0]
        use = (count > 1e-6) & ~filled
        result = torch.where(use, near / count.clamp(min=1e-6), result)
        filled = filled | use
    return result
