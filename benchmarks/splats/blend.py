"""Blending the Gaussians of every tile front to back, and the gradient of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

TILE = 8  # px
_PAIRS = 2048  # Gaussians × tiles in one batch: small enough for the cache of a core
_MOST_OPAQUE = 0.99  # as in 3DGS: what is behind always gets some gradient
_NOTHING = -100.0  # exponent of padding: an opacity of 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lists:
    """Which Gaussians reach which tiles."""

    gaussian: Tensor  # (M,) index of a Gaussian; by tile, then nearest first
    tile: Tensor  # (M,) row-major, rising
    rows: int
    columns: int

    def middles(self, dtype: torch.dtype) -> Tensor:
        """(M, 2) xy px of the middle of each entry's tile."""
        place = torch.stack([self.tile % self.columns, self.tile // self.columns], dim=1)
        return (place.to(dtype) + 0.5) * TILE

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """Tiles with similarly many Gaussians: (T,) tiles and (T, K) entries, M where none is."""
        total = len(self.gaussian)
        counts = torch.bincount(self.tile, minlength=self.rows * self.columns)
        starts = counts.cumsum(0) - counts
        sorted_counts, tiles = counts.sort(descending=True)
        most = sorted_counts.tolist()
        found, begin = [], 0
        while begin < len(most) and most[begin] > 0:
            end = begin + max(1, _PAIRS // most[begin])
            chosen = tiles[begin:end]
            slot = torch.arange(most[begin], device=tiles.device)
            entries = starts[chosen, None] + slot
            found.append((chosen, torch.where(slot < counts[chosen, None], entries, total)))
            begin = end
        return found


def blend(exponents: Tensor, colors: Tensor, background: Tensor, lists: Lists) -> Tensor:
    """Blend front to back.

    Args:
        exponents: (M, 6) factors of xx, xy, yy, x, y and 1 of the logarithm of each entry's
            opacity, x and y being px from the middle of its tile.
        colors: (M, 3) RGB of the entries.
        background: (3,) RGB behind them; gets no gradient.
        lists: M entries by tile, nearest first.

    Returns:
        (tiles, TILE², 3) RGB, pixels row-major.
    """
    blended: Tensor = _Blend.apply(exponents, colors, background, lists)  # type: ignore[no-untyped-call]
    return blended


class _Blend(torch.autograd.Function):
    """By hand, since autograd keeps and passes over three times as much."""

    @staticmethod
    def forward(
        ctx: Any,  # torch's context takes any attribute
        exponents: Tensor,
        colors: Tensor,
        background: Tensor,
        lists: Lists,
    ) -> Tensor:
        pixels = _pixels(exponents)
        padded = torch.cat([exponents, exponents.new_tensor([[0, 0, 0, 0, 0, _NOTHING]])])
        tints = torch.cat([colors, colors.new_zeros(1, 3)])
        out = background.to(exponents.dtype).repeat(lists.rows * lists.columns, TILE * TILE, 1)
        ctx.batches = []
        for tiles, entries in lists.batches():
            opacity = (padded[entries] @ pixels).clamp_(max=_LOG_MOST).exp_()  # (T, K, P)
            through = (1 - opacity).cumprod(dim=1)
            weight = opacity.clone()
            weight[:, 1:] *= through[:, :-1]
            tint = tints[entries]
            rest = through[:, -1, :, None] * background  # (T, P, 3)
            out[tiles] = torch.baddbmm(rest, weight.mT, tint)
            ctx.batches.append((tiles, entries, opacity, weight, tint, through[:, -1].clone()))
        ctx.save_for_backward(exponents, background)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Pass on the gradient.

        With w_k = α_k T_k: ∂C/∂α_k = T_k c_k − (Σ_{j>k} w_j c_j + T_end background) / (1 − α_k).
        """
        exponents, background = ctx.saved_tensors
        pixels = _pixels(exponents)
        of_exponents = exponents.new_zeros(len(exponents) + 1, 6)
        of_colors = exponents.new_zeros(len(exponents) + 1, 3)
        for tiles, entries, opacity, weight, tint, end in ctx.batches:
            gradient = gradients[0][tiles]  # (T, P, 3)
            of_colors[entries] = weight @ gradient
            part = (tint @ gradient.mT).mul_(weight)  # (T, K, P): w_k c_k · g
            behind = part.sum(dim=1, keepdim=True) - part.cumsum(dim=1)
            behind += (end * (gradient @ background))[:, None]
            # times α_k, the derivative of exp: T_k c_k becomes w_k c_k, which is ``part``
            behind *= opacity / (1 - opacity)
            part -= behind
            part *= opacity < _MOST_OPAQUE * (1 - 1e-6)  # what was held gets no gradient
            of_exponents[entries] = part @ pixels.T
        return of_exponents[:-1], of_colors[:-1], None, None


_LOG_MOST = float(torch.tensor(_MOST_OPAQUE, dtype=torch.float64).log())


def _pixels(like: Tensor) -> Tensor:
    """(6, P) monomials xx, xy, yy, x, y, 1 of the pixel centres from the middle of their tile."""
    step = torch.arange(TILE, dtype=like.dtype, device=like.device) + 0.5 - TILE / 2
    y, x = torch.meshgrid(step, step, indexing="ij")
    x, y = x.flatten(), y.flatten()
    return torch.stack([x * x, x * y, y * y, x, y, torch.ones_like(x)])
