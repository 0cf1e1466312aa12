"""The transformer that looks at all tracks and says how to move each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vggt_sfm.models.layers import LAYER_NORM_EPS, Mlp

NUM_HEADS = 8
NUM_VIRTUAL_TRACKS = 64
DEPTH = 6  # of each kind of block

_TOKENS_AT_ONCE = 1 << 15  # in one block; the MLP then holds 200 MB at width 384


class SelfBlock(nn.Module):
    """Attention among a sequence's tokens and an MLP; what is added to is the *normalised* input.

    That, and not the input itself, is what the published weights were trained with.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.attn = nn.MultiheadAttention(dim, NUM_HEADS, batch_first=True)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, C) tokens to (N, T, C)."""
        h = self.norm1(x)
        y = h + self.attn(h, h, h, need_weights=False)[0]
        out: Tensor = y + self.mlp(self.norm2(y))
        return out


class CrossBlock(nn.Module):
    """Attention of a sequence's tokens to others, likewise added to the normalised input."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.norm_context = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.cross_attn = nn.MultiheadAttention(dim, NUM_HEADS, batch_first=True)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Map (N, T, C) tokens, looking at (N, U, C) others, to (N, T, C)."""
        h, other = self.norm1(x), self.norm_context(context)
        y = h + self.cross_attn(h, other, other, need_weights=False)[0]
        out: Tensor = y + self.mlp(self.norm2(y))
        return out


class Updateformer(nn.Module):
    """Attention along each track, and among the tracks of a frame by way of virtual ones.

    Every frame's tracks speak to each other only through the virtual tracks, so that the cost
    is linear in their number.

    Source: Karaev et al. 2024, CoTracker, section 3.2.
    """

    def __init__(self, in_dim: int, hidden: int, out_dim: int) -> None:
        super().__init__()
        # Spelled as in the published checkpoint.
        self.virual_tracks = nn.Parameter(torch.randn(1, NUM_VIRTUAL_TRACKS, 1, hidden))
        self.input_norm = nn.LayerNorm(in_dim, LAYER_NORM_EPS)
        self.input_transform = nn.Linear(in_dim, hidden)
        self.output_norm = nn.LayerNorm(hidden, LAYER_NORM_EPS)
        self.flow_head = nn.Linear(hidden, out_dim)
        self.time_blocks = _stack(SelfBlock, hidden)
        self.space_virtual_blocks = _stack(SelfBlock, hidden)
        # The first word is the side that is updated.
        self.space_point2virtual_blocks = _stack(CrossBlock, hidden)
        self.space_virtual2point_blocks = _stack(CrossBlock, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, S, in) tokens of N tracks through S frames to (B, N, S, out)."""
        start = self.input_transform(self.input_norm(tokens))
        num_scenes, num_tracks, num_frames, _ = start.shape
        virtual = self.virual_tracks.expand(num_scenes, -1, num_frames, -1)
        x = torch.cat([start, virtual], dim=1)  # (B, N + 64, S, C)
        for time, virtual_block, points_from, virtual_from in zip(
            self.time_blocks,
            self.space_virtual_blocks,
            self.space_point2virtual_blocks,
            self.space_virtual2point_blocks,
            strict=True,
        ):
            x = _in_chunks(time, x.flatten(0, 1)).view_as(x)
            frames = x.transpose(1, 2).flatten(0, 1)  # (B·S, N + 64, C)
            points, virtual = frames[:, :num_tracks], frames[:, num_tracks:]
            virtual = _in_chunks(virtual_from, virtual, points)
            virtual = _in_chunks(virtual_block, virtual)
            points = _in_chunks(points_from, points, virtual)
            x = torch.cat([points, virtual], dim=1).view(num_scenes, num_frames, *frames.shape[1:])
            x = x.transpose(1, 2)
        out: Tensor = self.flow_head(self.output_norm(x[:, :num_tracks] + start))
        return out


def _stack(block: Callable[[int], nn.Module], dim: int) -> nn.ModuleList:
    return nn.ModuleList(block(dim) for _ in range(DEPTH))


def _in_chunks(block: nn.Module, *sequences: Tensor) -> Tensor:
    """Apply a block to (N, T, C) sequences, some at a time; no effect on values."""
    length = max(tokens.shape[1] for tokens in sequences)
    rows = max(1, _TOKENS_AT_ONCE // length)
    parts = zip(*(torch.split(tokens, rows) for tokens in sequences), strict=True)
    return torch.cat([block(*part) for part in parts])
