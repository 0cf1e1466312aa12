"""Track head: follow points of one frame through all frames."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.heads.correlation import CorrelationPyramid
from vggt_sfm.models.heads.dense import FeatureHead
from vggt_sfm.models.heads.updateformer import Updateformer
from vggt_sfm.models.layers import LAYER_NORM_EPS, Mlp, sine_embedding

STRIDE = 2  # image pixels a pixel of the feature maps
_FLOW_SCALE_PX = 518.0  # whatever the images' size
_FLOW_BASE = 1000.0
_PLACE_BASE = 10000.0


def smallest_image_px(config: VGGTConfig) -> int:
    """Return the side that images need, px, lest a level of the correlation pyramid be empty."""
    return STRIDE << (config.track_corr_levels - 1)


def flow_embedding(flow: Tensor, channels: int) -> Tensor:
    """Embed displacements by sines and cosines.

    Args:
        flow: (…, 2) displacements, px.
        channels: K, for each axis; even.

    Returns:
        (…, 2 K): first those of x, sine and cosine of a frequency side by side.
    """
    steps = torch.arange(channels // 2, dtype=flow.dtype, device=flow.device)
    angles = flow[..., None] * (steps * (2 * _FLOW_BASE / channels))  # (…, 2, K / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-3)


def place_embedding(xy: Tensor, size: tuple[int, int], channels: int) -> Tensor:
    """Embed where points lie, blended linearly between whole pixels.

    Args:
        xy: (…, 2) px, pixel centres at integers; clamped into the map.
        size: Height and width of the map, px.
        channels: D, a multiple of 4.

    Returns:
        (…, D): first half from x, second from y.
    """
    halves = []
    for axis, steps in ((0, size[1]), (1, size[0])):
        pixels = torch.arange(steps, dtype=torch.float64)
        table = sine_embedding(pixels, channels // 2, _PLACE_BASE).to(xy)
        place = xy[..., axis].clamp(0, steps - 1)
        before = place.floor().long().clamp(max=max(steps - 2, 0))
        after = (before + 1).clamp(max=steps - 1)
        halves.append(torch.lerp(table[before], table[after], (place - before)[..., None]))
    return torch.cat(halves, dim=-1)


def sample_features(maps: Tensor, xy: Tensor) -> Tensor:
    """Interpolate (B, F, h, w) maps bilinearly at (B, N, 2) places, clamped: (B, N, F)."""
    height, width = maps.shape[-2:]
    # Written so that an axis of one pixel does no harm.
    grid = 2 * xy / xy.new_tensor([max(width - 1, 1), max(height - 1, 1)]) - 1
    sampled = F.grid_sample(
        maps, grid[:, :, None], mode="bilinear", padding_mode="border", align_corners=True
    )
    return sampled[..., 0].transpose(1, 2)


class Tracker(nn.Module):
    """Estimate tracks by moving them, again and again, to where their features fit better.

    Source: Karaev et al. 2024, CoTracker; Wang et al. 2025, VGGT, section 3.3.
    """

    def __init__(self, config: VGGTConfig) -> None:
        super().__init__()
        features, hidden = config.track_features, config.track_hidden
        window = 2 * config.track_corr_radius + 1
        width = 3 * features + 4
        self.levels = config.track_corr_levels
        self.radius = config.track_corr_radius
        self.iterations = config.track_iterations
        # Slot 0 is for the frame with the queries, slot 1 for every other frame.
        self.query_ref_token = nn.Parameter(torch.randn(1, 2, width))
        self.corr_mlp = Mlp(self.levels * window**2, hidden, features)
        self.updateformer = Updateformer(width, hidden, features + 2)
        self.fmap_norm = nn.LayerNorm(features, LAYER_NORM_EPS)
        self.ffeat_norm = nn.GroupNorm(1, features, LAYER_NORM_EPS)
        self.ffeat_updater = nn.Sequential(nn.Linear(features, features), nn.GELU())
        self.vis_predictor = nn.Sequential(nn.Linear(features, 1))
        self.conf_predictor = nn.Sequential(nn.Linear(features, 1))

    def forward(self, maps: Tensor, query_xy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Follow the queries, which lie in frame 0.

        Args:
            maps: (B, S, F, H / 2, W / 2) features.
            query_xy: (B, N, 2) px of the images, pixel centres at integers.

        Returns:
            (iterations, B, S, N, 2) places in every frame, px of the images, the last iteration's
            being the estimate; (B, S, N) visibility and (B, S, N) confidence, 0 to 1.

        Raises:
            ValueError: If the maps are too small for the correlation pyramid.
        """
        maps = self.fmap_norm(maps.movedim(2, -1)).movedim(-1, 2)
        pyramid = CorrelationPyramid(maps, self.levels, self.radius)
        num_frames = maps.shape[1]
        # Half precision is good enough for features, never for places.
        query = query_xy.to(torch.promote_types(maps.dtype, torch.float32)) / STRIDE
        marks = self._marks(query, (maps.shape[-2], maps.shape[-1]), num_frames)  # (B, N, S, D)
        xy = query[:, None].expand(-1, num_frames, -1, -1)  # (B, S, N, 2)
        sampled = sample_features(maps[:, 0].to(query.dtype), query).to(maps.dtype)
        features = sampled[:, None].expand(-1, num_frames, -1, -1)  # (B, S, N, F)
        estimates = []
        for _ in range(self.iterations):
            xy = xy.detach()  # each refinement is trained on its own
            tokens = self._tokens(pyramid, features, xy) + marks
            step = self.updateformer(tokens.to(self.query_ref_token.dtype)).transpose(1, 2)
            features = features + self._update(step[..., 2:])
            xy = torch.cat([query[:, None], (xy + step[..., :2])[:, 1:]], dim=1)
            estimates.append(xy * STRIDE)
        visibility = self.vis_predictor(features)[..., 0].sigmoid()
        confidence = self.conf_predictor(features)[..., 0].sigmoid()
        return torch.stack(estimates), visibility, confidence

    def _tokens(self, pyramid: CorrelationPyramid, features: Tensor, xy: Tensor) -> Tensor:
        """Describe (B, S, N, 2) places: how far they moved, what is there, what is sought."""
        rows = pyramid.look_up(features, xy).transpose(1, 2)  # (B, N, S, K)
        correlation = self.corr_mlp(rows.flatten(0, 1)).view(*rows.shape[:3], features.shape[-1])
        flow = self._embed_flow(xy - xy[:, :1]).transpose(1, 2)
        return torch.cat([flow, correlation, features.transpose(1, 2)], dim=-1)

    def _marks(self, query: Tensor, size: tuple[int, int], num_frames: int) -> Tensor:
        """Return what tells tokens which query they follow and whether they are in its frame."""
        width = self.query_ref_token.shape[-1]
        place = place_embedding(query, size, width)  # (B, N, D)
        first, other = self.query_ref_token[:, :1], self.query_ref_token[:, 1:]
        frame = torch.cat([first, other.expand(-1, num_frames - 1, -1)], dim=1)
        return place[:, :, None] + frame[:, None]

    def _embed_flow(self, flow: Tensor) -> Tensor:
        """Map (…, 2) displacements to (…, F + 4)."""
        scaled = flow / _FLOW_SCALE_PX
        channels = self.fmap_norm.normalized_shape[0] // 2
        return torch.cat([flow_embedding(flow, channels), scaled, scaled], dim=-1)

    def _update(self, step: Tensor) -> Tensor:
        """Map (B, S, N, F) outputs of the updateformer to changes of the features."""
        update: Tensor = self.ffeat_updater(self.ffeat_norm(step.flatten(0, 2)))
        return update.view_as(step)


class TrackHead(nn.Module):
    """Feature maps of the frames and a tracker on them."""

    def __init__(self, config: VGGTConfig) -> None:
        super().__init__()
        self.feature_extractor = FeatureHead(
            config,
            config.track_features,
            config.track_features,
            embed_positions=config.track_position_embedding,
        )
        self.tracker = Tracker(config)

    def forward(
        self,
        layers: Mapping[int, Tensor],
        size: tuple[int, int],
        query_xy: Tensor,
        *,
        frames_per_chunk: int = 8,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Follow points of frame 0 through all frames.

        Args:
            layers: (B, S, P, 2C) tokens for each of the layers that the head reads.
            size: Height and width of the images, px.
            query_xy: (B, N, 2) px of the images, pixel centres at integers.
            frames_per_chunk: How many frames' features to make at once; no effect on values.

        Returns:
            See ``Tracker.forward``.
        """
        maps = self.feature_extractor(layers, size, frames_per_chunk=frames_per_chunk)
        tracks: tuple[Tensor, Tensor, Tensor] = self.tracker(maps, query_xy)
        return tracks
