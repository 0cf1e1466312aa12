"""What two views tell each other before their cells are compared.

Blocks within a view and blocks across both alternate, as in VGGT (Wang et al., CVPR 2025); the
result changes the coarse descriptors and says which cells the other view shows at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vggt_sfm.models.layers import Block, Mlp, Rope, grid_positions, rope
from vggt_sfm.models.tiny.network import ChannelNorm, Features, PixelLinear, TinyConfig, up

_HEADS = 4
_LONG_SIDE = 16.0  # positions of tokens go up to here, at any resolution
_OCTAVES = 6  # of the sines that tell where a token is
_SHARPNESS = 1.5  # of untrained attention across views, towards tokens that look alike
_DESCRIPTOR_WEIGHT = 8.0  # of descriptors, which have unit length, beside the features
_CELLS = 2  # coarse cells a side of each token


class CrossBlock(nn.Module):
    """Transformer block whose attention goes from each of two views to the other.

    Queries and keys start as the same map, so that untrained it looks for what looks alike.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.key.load_state_dict(self.query.state_dict())
        self.value, self.leave = nn.Linear(width, width), nn.Linear(width, width)
        self.query_norm = nn.LayerNorm(width // _HEADS)
        self.key_norm = nn.LayerNorm(width // _HEADS)
        nn.init.constant_(self.query_norm.weight, _SHARPNESS)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 2, P, width) to the same shape."""
        y = self.norm1(x)
        q = self.query_norm(_heads(self.query(y)))
        k = self.key_norm(_heads(self.key(y.flip(1))))
        v = _heads(self.value(y.flip(1)))
        # the norms may have widened what autocast had narrowed
        mixed = nn.functional.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)
        x = x + self.leave(mixed.transpose(1, 2).reshape(x.shape))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


def _heads(x: Tensor) -> Tensor:
    """(B, 2, P, width) to (2B, heads, P, width / heads): attention is fast in four dimensions."""
    return x.flatten(0, 1).view(-1, x.shape[2], _HEADS, x.shape[3] // _HEADS).transpose(1, 2)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class View:
    """What a view brings to every pair that it is part of."""

    lateral: Tensor  # (B, C, h, w)
    tokens: Tensor  # (B, P, width)


class PairContext(nn.Module):
    """Describes the coarse cells of two views that know each other."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        width, pairs = config.context, config.context_pairs
        self.enter = nn.Linear(config.coarse + config.descriptor, width)
        self.place = nn.Linear(4 * _OCTAVES, width)
        self.frame_blocks = nn.ModuleList(
            Block(width, _HEADS, qk_norm=True, layer_scale=0.3) for _ in range(pairs)
        )
        self.cross_blocks = nn.ModuleList(CrossBlock(width) for _ in range(pairs))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, config.coarse)
        # untrained, views tell each other nothing
        for name in ("weight", "bias"):
            nn.init.zeros_(self.leave.get_parameter(name))
        self.head = nn.Sequential(
            ChannelNorm(config.coarse), PixelLinear(config.coarse, config.descriptor + 1)
        )
        self.log_temperature = nn.Parameter(torch.tensor(12.0).log())

    def view(self, features: Features) -> View:
        """Prepare what a view needs no other for."""
        pool = nn.functional.avg_pool2d
        alike = nn.functional.normalize(pool(features.coarse, _CELLS), dim=1)
        x = torch.cat([pool(features.lateral, _CELLS), _DESCRIPTOR_WEIGHT * alike], 1)
        grid = x.shape[-2:]
        x = self.enter(x.flatten(2).transpose(1, 2)) + self.place(_sines(grid, x.device))
        return View(
            lateral=features.lateral, tokens=self.frame_blocks[0](x, self._turn(grid, x.device))
        )

    def forward(self, first: View, second: View) -> tuple[Tensor, Tensor]:
        """Describe both views of B pairs.

        Returns:
            (B, 2, D, h, w) unit descriptors and (B, 2, h, w) logits of being seen in the other.
        """
        rows, columns = first.lateral.shape[-2:]
        grid = torch.Size((rows // _CELLS, columns // _CELLS))
        turn = self._turn(grid, first.tokens.device)
        x = torch.stack([first.tokens, second.tokens], 1)  # (B, 2, P, width)
        for n, cross_block in enumerate(self.cross_blocks):
            if n > 0:
                x = self.frame_blocks[n](x.flatten(0, 1), turn).view_as(x)
            x = cross_block(x)
        told = self.leave(self.norm(x)).transpose(2, 3).unflatten(3, grid)
        lateral = torch.stack([first.lateral, second.lateral], 1)
        described = self.head(lateral.flatten(0, 1) + up(told.flatten(0, 1)))
        described = described.unflatten(0, (-1, 2))
        return nn.functional.normalize(described[:, :, :-1], dim=2), described[:, :, -1]

    def _turn(self, grid: torch.Size, device: torch.device) -> Rope:
        return rope(_positions(grid, device), self.enter.out_features // _HEADS)


def _positions(grid: torch.Size, device: torch.device) -> Tensor:
    """Rows and columns (P, 2) of tokens, which do not grow with resolution."""
    rows, columns = grid
    return grid_positions(rows, columns, device) * (_LONG_SIDE / max(rows, columns))


def _sines(grid: torch.Size, device: torch.device) -> Tensor:
    """Sines and cosines (P, 4 · octaves) of the tokens' positions."""
    octaves = 2.0 ** torch.arange(_OCTAVES, device=device)
    angles = _positions(grid, device)[:, :, None] / _LONG_SIDE * octaves * torch.pi
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(1)
