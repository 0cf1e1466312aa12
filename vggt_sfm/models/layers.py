"""What every VGGT network is built from: attention, MLP, rotary positions, patches."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

LAYER_NORM_EPS = 1e-5  # all but the encoder and the camera head's adaptive norm
_Result = TypeVar("_Result")


class Recomputable(nn.Module):
    """A module that need not keep what it computed on the way for the gradient."""

    recompute = False
    """Whether to keep only the inputs and compute all else again: memory for time, no effect on
    values."""

    def run(self, function: Callable[..., _Result], *inputs: object) -> _Result:
        """Apply one of the module's functions to inputs."""
        if self.recompute and torch.is_grad_enabled():
            result: _Result = checkpoint(function, *inputs, use_reentrant=False)
            return result
        return function(*inputs)


class Rope(NamedTuple):
    """Cosines and sines that rotate attention heads by token position, for P tokens."""

    cos: Tensor  # (P, 2, D / 4): half of the head that turns with y, with x; frequency
    sin: Tensor

    def rotate(self, heads: Tensor) -> Tensor:
        """Rotate (…, S·P, D) queries or keys; every run of P tokens has the same positions."""
        tokens, _, quarter = self.cos.shape
        x = heads.reshape(*heads.shape[:-2], -1, tokens, 2, 2, quarter)
        a, b = x.unbind(-2)  # (…, S, P, 2, D / 4): channel j is paired with j + D / 4
        turned = torch.stack([a * self.cos - b * self.sin, b * self.cos + a * self.sin], -2)
        return turned.reshape(heads.shape)


def rope(positions_yx: Tensor, head_dim: int, base: float = 100.0) -> Rope:
    """Make the rotation of heads at integer positions.

    Args:
        positions_yx: (P, 2) row and column of each token; (0, 0) leaves a token as it is.
        head_dim: D, a multiple of 4.
        base: Ratio of the highest to the (excluded) lowest frequency.

    Returns:
        Tables of shape (P, 2, D / 4) in float32, on the positions' device.

    Source: Su et al. 2021, RoFormer, eq. 15, with half a head for each image axis.
    """
    # On the CPU in float64, which not every device has.
    exponents = torch.arange(head_dim // 4, dtype=torch.float64) * (4 / head_dim)
    angles = positions_yx.cpu().double()[:, :, None] * base**-exponents
    return Rope(*(t.to(positions_yx.device, torch.float32) for t in (angles.cos(), angles.sin())))


def sine_embedding(coordinates: Tensor, channels: int, base: float) -> Tensor:
    """Embed coordinates by sines of falling frequency, then cosines of the same.

    Args:
        coordinates: (N,) in float64, on the CPU: not every device has it.
        channels: K, even.
        base: Ratio of the highest to the (excluded) lowest frequency.

    Returns:
        (N, K) in float64.

    Source: Vaswani et al. 2017, Attention Is All You Need, section 3.5.
    """
    exponents = torch.arange(channels // 2, dtype=torch.float64) * (2 / channels)
    angles = coordinates[:, None] * base**-exponents
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def grid_positions(rows: int, columns: int, device: torch.device | None = None) -> Tensor:
    """Return the (rows · columns, 2) integer (y, x) of a grid, row-major, from (0, 0)."""
    return torch.cartesian_prod(
        torch.arange(rows, device=device), torch.arange(columns, device=device)
    )


class Attention(nn.Module):
    """Multi-head self attention with optional normalised queries and keys."""

    def __init__(self, dim: int, num_heads: int, *, qk_norm: bool = False) -> None:
        super().__init__()
        self.num_heads = num_heads
        head_dim = dim // num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_norm = nn.LayerNorm(head_dim, LAYER_NORM_EPS) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(head_dim, LAYER_NORM_EPS) if qk_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, rope: Rope | None = None, seen: Tensor | None = None) -> Tensor:
        """Attend among the T tokens of each of N sequences.

        Args:
            x: (N, T, C) tokens.
            rope: Rotation of queries and keys; T must be a multiple of its length.
            seen: (T, T) bool, which tokens (columns) each token (row) attends to; None: all.

        Returns:
            (N, T, C).
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # (N, T, 3, heads, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (N, heads, T, D)
        q, k = self.q_norm(q), self.k_norm(k)
        if rope is not None:
            q, k = rope.rotate(q), rope.rotate(k)
        # Norms and rotation may have widened q and k; attention wants one type.
        mixed = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, attn_mask=seen)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, dim: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim if out is None else out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, dim) to (…, out)."""
        y: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return y


class LayerScale(nn.Module):
    """A learned factor per channel."""

    def __init__(self, dim: int, init: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), init))

    def forward(self, x: Tensor) -> Tensor:
        """Scale (…, dim)."""
        return x * self.gamma


class Block(Recomputable):
    """Transformer block: attention and MLP, each normalised before and scaled after."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        eps: float = LAYER_NORM_EPS,
        qk_norm: bool = False,
        layer_scale: float = 0.01,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps)
        self.attn = Attention(dim, num_heads, qk_norm=qk_norm)
        self.ls1 = LayerScale(dim, layer_scale)
        self.norm2 = nn.LayerNorm(dim, eps)
        self.mlp = Mlp(dim, 4 * dim)
        self.ls2 = LayerScale(dim, layer_scale)

    def forward(self, x: Tensor, rope: Rope | None = None, seen: Tensor | None = None) -> Tensor:
        """Map (N, T, C) tokens to (N, T, C); see ``Attention.forward``."""
        return self.run(self._attend_and_map, x, rope, seen)

    def _attend_and_map(self, x: Tensor, rope: Rope | None, seen: Tensor | None) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x), rope, seen))
        y: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return y


class PatchEmbed(nn.Module):
    """One linear map from the pixels of a patch to a token."""

    def __init__(self, patch_size: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised images to (N, gh · gw, C) tokens, row-major."""
        tokens: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return tokens
