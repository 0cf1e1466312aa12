"""What two views tell each other before their cells are compared.

Tokens of both attend to each other in alternating frame and global blocks, as in VGGT (Wang et
al., CVPR 2025); the result changes the coarse descriptors and says which cells the other view
shows at all.
"""

from __future__ import annotations

import torch
from torch import nn

from vggt_sfm.models.layers import Block, Rope, grid_positions, rope

_HEADS = 4
_LONG_SIDE = 16.0  # positions of tokens go up to here, at any resolution


class PairContext(nn.Module):
    """Alternating attention between two views."""

    def __init__(self, inputs: int, outputs: int, width: int, pairs: int) -> None:
        """Build the blocks.

        Args:
            inputs: Channels of the features that tokens are made from.
            outputs: Channels of the result.
            width: Of the tokens.
            pairs: Number of frame and global block pairs.
        """
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.frame_blocks = nn.ModuleList(_block(width) for _ in range(pairs))
        self.global_blocks = nn.ModuleList(_block(width) for _ in range(pairs))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, outputs)
        # untrained, views tell each other nothing
        for name in ("weight", "bias"):
            nn.init.zeros_(self.leave.get_parameter(name))

    def tokens(self, features: torch.Tensor) -> torch.Tensor:
        """Make tokens (B, P, width) of (B, inputs, h, w) features, each view on its own."""
        x = self.enter(features.flatten(2).transpose(1, 2))
        result: torch.Tensor = self.frame_blocks[0](x, self._turn(features.shape[-2:], x.device))
        return result

    def forward(
        self, first: torch.Tensor, second: torch.Tensor, grid: tuple[int, int]
    ) -> torch.Tensor:
        """Let views attend to each other.

        Args:
            first: (B, P, width) tokens of one view of each pair.
            second: (B, P, width) of the other.
            grid: Rows and columns of the P tokens.

        Returns:
            (B, 2, outputs, rows, columns).
        """
        turn = self._turn(grid, first.device)
        x = torch.stack([first, second], 1)  # (B, 2, P, width)
        for n, global_block in enumerate(self.global_blocks):
            if n > 0:
                x = self.frame_blocks[n](x.flatten(0, 1), turn).view_as(x)
            x = global_block(x.flatten(1, 2), turn).view_as(x)
        y: torch.Tensor = self.leave(self.norm(x))
        return y.transpose(2, 3).unflatten(3, grid)

    def _turn(self, grid: tuple[int, int] | torch.Size, device: torch.device) -> Rope:
        """Rotary positions that do not grow with resolution."""
        rows, columns = grid
        positions = grid_positions(rows, columns, device) * (_LONG_SIDE / max(rows, columns))
        return rope(positions, self.enter.out_features // _HEADS)


def _block(width: int) -> Block:
    return Block(width, _HEADS, qk_norm=True, layer_scale=0.1)
