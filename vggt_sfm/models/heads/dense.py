"""Dense heads: something for every pixel, from four layers of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.layers import LAYER_NORM_EPS, Recomputable, sine_embedding

Quantity = Literal["depth", "point"]

_NUM_OUTPUTS = {"depth": 2, "point": 4}  # the value's components and one confidence
_POSITION_WEIGHT = 0.1
_LOGIT_CHANNELS = 32


def axis_coordinates(steps: int, span: float) -> Tensor:
    """Return the (steps,) float64 centres of equal cells that tile [-span, span]."""
    edge = span * (steps - 1) / steps
    return torch.linspace(-edge, edge, steps, dtype=torch.float64)


def position_embedding(maps: Tensor, aspect: float) -> Tensor:
    """Embed where in the image each pixel of a map lies.

    Args:
        maps: (N, C, h, w) maps of the whole image, C a multiple of 4; only their shape counts.
        aspect: Width over height of the *image*; its half diagonal has length 1.

    Returns:
        (C, h, w) in the maps' precision and on their device: first half from x, second from y.
    """
    _, channels, height, width = maps.shape
    diagonal = (aspect**2 + 1) ** 0.5
    x, y = (
        sine_embedding(axis_coordinates(steps, span), channels // 2, 100.0).T.to(maps)
        for steps, span in ((width, aspect / diagonal), (height, 1 / diagonal))
    )
    return torch.cat([x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)])


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def _conv3x3(channels: int, out: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, padding=1, bias=bias)


class ResidualUnit(nn.Module):
    """Two convolutions around the *rectified* input.

    The reference rectifies in place, so what it adds is relu(x) and not x.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(features, features)
        self.conv2 = _conv3x3(features, features)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, F, h, w) to (N, F, h, w)."""
        x = F.relu(x)
        y: Tensor = self.conv2(F.relu(self.conv1(x)))
        return y + x


class FusionBlock(nn.Module):
    """Add a finer map to a coarser result and enlarge the sum."""

    def __init__(self, features: int, *, has_skip: bool) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        if has_skip:
            self.resConfUnit1 = ResidualUnit(features)
        self.resConfUnit2 = ResidualUnit(features)

    def forward(self, x: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Map (N, F, h, w), and a skip of the same shape, to (N, F, *size)."""
        if skip is not None:
            x = x + self.resConfUnit1(skip)
        # A 1x1 convolution commutes with resizing and is cheaper before it.
        return _resize(self.out_conv(self.resConfUnit2(x)), size)


class _Fusion(nn.Module):
    """Everything after the four maps have got their resolutions."""

    def __init__(
        self, channels: tuple[int, int, int, int], features: int, fused: int, num_outputs: int
    ) -> None:
        super().__init__()
        c1, c2, c3, c4 = channels
        self.layer1_rn = _conv3x3(c1, features, bias=False)
        self.layer2_rn = _conv3x3(c2, features, bias=False)
        self.layer3_rn = _conv3x3(c3, features, bias=False)
        self.layer4_rn = _conv3x3(c4, features, bias=False)
        self.refinenet1 = FusionBlock(features, has_skip=True)
        self.refinenet2 = FusionBlock(features, has_skip=True)
        self.refinenet3 = FusionBlock(features, has_skip=True)
        self.refinenet4 = FusionBlock(features, has_skip=False)
        self.output_conv1 = _conv3x3(features, fused)
        if num_outputs:
            self.output_conv2 = nn.Sequential(
                _conv3x3(fused, _LOGIT_CHANNELS),
                nn.ReLU(),
                nn.Conv2d(_LOGIT_CHANNELS, num_outputs, 1),
            )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Fuse four maps, finest first, into (N, fused, h, w) at twice the finest resolution."""
        r1, r2, r3, r4 = (
            conv(m)
            for conv, m in zip(
                (self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn), maps, strict=True
            )
        )
        x = self.refinenet4(r4, None, r3.shape[-2:])
        x = self.refinenet3(x, r3, r2.shape[-2:])
        x = self.refinenet2(x, r2, r1.shape[-2:])
        x = self.refinenet1(x, r1, (2 * r1.shape[-2], 2 * r1.shape[-1]))
        fused: Tensor = self.output_conv1(x)
        return fused


class FeatureHead(Recomputable):
    """Fuse four layers of tokens into one map of features.

    Source: Ranftl et al. 2021, Vision Transformers for Dense Prediction (DPT).

    Args:
        config: The architecture.
        features: Width of the fusion.
        fused: Channels of its result.
        embed_positions: Whether to tell the maps where in the image their pixels lie.
        num_outputs: Channels of a last pair of convolutions, for subclasses; 0 for none.
    """

    def __init__(
        self,
        config: VGGTConfig,
        features: int,
        fused: int,
        *,
        embed_positions: bool,
        num_outputs: int = 0,
    ) -> None:
        super().__init__()
        dim = 2 * config.embed_dim
        self.patch_size = config.patch_size
        self.layers = config.dpt_layers
        self.embed_positions = embed_positions
        c1, c2, _, c4 = config.dpt_channels
        self.norm = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.projects = nn.ModuleList(nn.Conv2d(dim, c, 1) for c in config.dpt_channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(c1, c1, 4, stride=4),
                nn.ConvTranspose2d(c2, c2, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(c4, c4, 3, stride=2, padding=1),
            ]
        )
        self.scratch = _Fusion(config.dpt_channels, features, fused, num_outputs)

    def forward(
        self, layers: Mapping[int, Tensor], size: tuple[int, int], *, frames_per_chunk: int = 8
    ) -> Tensor:
        """Make the features of every frame, at half the images' size.

        Args:
            layers: (B, S, P, 2C) tokens for each of the layers that the head reads.
            size: Height and width of the images, px.
            frames_per_chunk: How many frames to hold in memory at once; no effect on values.

        Returns:
            (B, S, fused, H / 2, W / 2), sizes rounded down.
        """
        half = (size[0] // 2, size[1] // 2)
        chunks = [
            self.run(self.fuse, tokens, size, half)
            for tokens in self.chunks(layers, frames_per_chunk)
        ]
        features = torch.cat(chunks)
        return features.view(*layers[self.layers[0]].shape[:2], *features.shape[1:])

    def chunks(self, layers: Mapping[int, Tensor], frames: int) -> Iterator[list[Tensor]]:
        """Yield the head's layers for some frames at a time, each (N, P, 2C)."""
        tokens = [layers[i].flatten(0, 1) for i in self.layers]  # each (B·S, P, 2C)
        for first in range(0, len(tokens[0]), frames):
            yield [t[first : first + frames] for t in tokens]

    def fuse(self, tokens: list[Tensor], size: tuple[int, int], out: tuple[int, int]) -> Tensor:
        """Map four (N, P, 2C) layers of images of some size to (N, fused, *out)."""
        maps = [
            resize(self._embed_position(project(self._to_map(t, size)), size))
            for t, project, resize in zip(tokens, self.projects, self.resize_layers, strict=True)
        ]
        return self._embed_position(_resize(self.scratch(maps), out), size)

    def _to_map(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Arrange the patches among (N, P, 2C) tokens as (N, 2C, gh, gw)."""
        grid = (size[0] // self.patch_size, size[1] // self.patch_size)
        patches = tokens[:, -grid[0] * grid[1] :].to(self.norm.weight.dtype)
        x: Tensor = self.norm(patches)
        return x.transpose(1, 2).reshape(len(x), -1, *grid)

    def _embed_position(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if not self.embed_positions:
            return x
        return x + _POSITION_WEIGHT * position_embedding(x, size[1] / size[0])


class DenseHead(FeatureHead):
    """Predict depth or world points, and a confidence, for every pixel."""

    def __init__(self, config: VGGTConfig, quantity: Quantity) -> None:
        super().__init__(
            config,
            config.dpt_features,
            config.dpt_features // 2,
            embed_positions=True,
            num_outputs=_NUM_OUTPUTS[quantity],
        )
        self.quantity = quantity

    def forward(  # type: ignore[override]  # predicts something else than features
        self, layers: Mapping[int, Tensor], size: tuple[int, int], *, frames_per_chunk: int = 8
    ) -> tuple[Tensor, Tensor]:
        """Predict the head's quantity and how far it is to be trusted.

        Args:
            layers: (B, S, P, 2C) tokens for each of the layers that the head reads.
            size: Height and width of the images, px.
            frames_per_chunk: How many frames to hold in memory at once; no effect on values.

        Returns:
            (B, S, H, W, K) depth (K = 1) or world points (K = 3), scene units, and their
            (B, S, H, W) confidence, at least 1.
        """
        chunks = [
            self.run(self._predict, tokens, size)
            for tokens in self.chunks(layers, frames_per_chunk)
        ]
        frames = layers[self.layers[0]].shape[:2]  # B, S
        value, confidence = (torch.cat(part) for part in zip(*chunks, strict=True))
        return value.view(*frames, *value.shape[1:]), confidence.view(*frames, *size)

    def _predict(self, tokens: list[Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Map four (N, P, 2C) layers to (N, H, W, K) values and (N, H, W) confidences."""
        logits = self.scratch.output_conv2(self.fuse(tokens, size, size))
        value, confidence = logits.permute(0, 2, 3, 1).split([logits.shape[1] - 1, 1], dim=-1)
        value = value.exp() if self.quantity == "depth" else value.sign() * value.abs().expm1()
        return value, 1 + confidence[..., 0].exp()
