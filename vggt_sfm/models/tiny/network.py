"""The learned part of the embedded model: one convolutional backbone, matching and depth heads.

It is fully convolutional, so it runs at any resolution whose sides are multiples of 16.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

COARSE = 8  # px per coarse cell
FINE = 2  # px per fine cell
_CHUNK = 1024  # pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyConfig:
    """Widths of the embedded model."""

    stem: int = 32
    """Channels at half resolution."""
    mid: int = 64
    """Channels at a quarter."""
    coarse: int = 160
    """Channels at an eighth."""
    deep: int = 224
    """Channels at a sixteenth."""
    coarse_blocks: int = 3
    deep_blocks: int = 4
    descriptor: int = 64
    """Length of the coarse descriptors."""
    fine_descriptor: int = 32
    """Length of the fine descriptors."""
    context: int = 128
    """Channels of the tokens with which two views attend to each other."""
    context_pairs: int = 2
    """Blocks within and across views; 0: views do not attend to each other."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Features:
    """What the backbone says about B images of H × W px."""

    coarse: torch.Tensor  # (B, D, H/8, W/8) unit vectors
    matchable: torch.Tensor  # (B, H/8, W/8) logit: this cell can be found in other views
    fine: torch.Tensor  # (B, F, H/2, W/2) unit vectors
    lateral: torch.Tensor  # (B, coarse, H/8, W/8) what the descriptors are made from


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of a (B, C, H, W) map."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise each pixel."""
        normed: torch.Tensor = super().forward(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


class ConvBlock(nn.Module):
    """ConvNeXt block: depthwise 7×7, then a pixel-wise MLP, with a residual.

    Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022, fig. 4.
    """

    def __init__(self, width: int, kernel: int = 7) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 3 * width)
        self.contract = nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same shape."""
        training = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
        if x.device.type == "cpu" and not training:
            return self._in_chunks(x)
        y: torch.Tensor = self.norm(self.spatial(x).permute(0, 2, 3, 1))
        y = self.contract(nn.functional.gelu(self.expand(y))) * self.scale
        return x + y.permute(0, 3, 1, 2)

    def _in_chunks(self, x: torch.Tensor) -> torch.Tensor:
        """The same with a third less time: few pixels at once, so the wide layer stays in cache."""
        y = self.spatial(x).permute(0, 2, 3, 1).contiguous()
        width = y.shape[-1]
        weight = (self.contract.weight * self.scale[:, None]).T
        result = x.permute(0, 2, 3, 1) + self.contract.bias * self.scale
        result = result.contiguous()
        rows, sums = y.view(-1, width), result.view(-1, width)
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            hidden = torch.ops.aten.gelu_(self.expand(self.norm(rows[part])))
            sums[part].addmm_(hidden, weight)
        return result.permute(0, 3, 1, 2)


class PixelLinear(nn.Conv2d):
    """A 1 × 1 convolution, computed as a matrix product over the pixels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        y = nn.functional.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
        return y.permute(0, 3, 1, 2)


def _down(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(ChannelNorm(inputs), nn.Conv2d(inputs, outputs, 2, stride=2))


def up(x: torch.Tensor) -> torch.Tensor:
    """Double the size of (B, C, h, w) maps."""
    return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class TinyBackbone(nn.Module):
    """Images to coarse and fine descriptors."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        c = config
        self.stem = nn.Sequential(
            nn.Conv2d(3, c.stem, 4, stride=2, padding=1), ConvBlock(c.stem, 5)
        )
        self.to_mid = nn.Sequential(_down(c.stem, c.mid), ConvBlock(c.mid, 5))
        self.to_coarse = nn.Sequential(
            _down(c.mid, c.coarse), *(ConvBlock(c.coarse) for _ in range(c.coarse_blocks))
        )
        self.to_deep = nn.Sequential(
            _down(c.coarse, c.deep), *(ConvBlock(c.deep) for _ in range(c.deep_blocks))
        )
        self.deep_lateral = PixelLinear(c.deep, c.coarse)
        self.merge_coarse = ConvBlock(c.coarse)
        self.coarse_head = nn.Sequential(
            ChannelNorm(c.coarse), PixelLinear(c.coarse, c.descriptor + 1)
        )
        self.coarse_lateral = PixelLinear(c.coarse, c.mid)
        self.merge_mid = ConvBlock(c.mid, 5)
        self.mid_lateral = PixelLinear(c.mid, c.stem)
        self.merge_fine = nn.Sequential(ConvBlock(c.stem, 5), ConvBlock(c.stem, 3))
        self.fine_head = nn.Sequential(ChannelNorm(c.stem), PixelLinear(c.stem, c.fine_descriptor))
        self.log_temperature = nn.Parameter(torch.tensor(12.0).log())
        self.log_fine_temperature = nn.Parameter(torch.tensor(20.0).log())

    def forward(self, images: torch.Tensor) -> Features:
        """Describe (B, 3, H, W) images in [0, 1]; H and W are multiples of 16."""
        half = self.stem(images * 4 - 2)
        mid = self.to_mid(half)
        coarse = self.to_coarse(mid)
        deep = self.to_deep(coarse)
        coarse = self.merge_coarse(coarse + up(self.deep_lateral(deep)))
        described = self.coarse_head(coarse)
        mid = self.merge_mid(mid + up(self.coarse_lateral(coarse)))
        fine = self.fine_head(self.merge_fine(half + up(self.mid_lateral(mid))))
        return Features(
            coarse=nn.functional.normalize(described[:, :-1], dim=1),
            matchable=described[:, -1],
            fine=nn.functional.normalize(fine, dim=1),
            lateral=coarse,
        )
