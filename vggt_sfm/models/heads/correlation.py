"""How alike points and the surroundings of their estimated places are, at several scales."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_ELEMENTS_AT_ONCE = 1 << 26  # gathered features; 256 MB in float32


class CorrelationPyramid:
    """Feature maps at halved sizes, looked up in windows around points.

    Correlations are only computed where they are read: (2 r + 3)² products at whole pixels, of
    which the samples of a window are blended.

    Args:
        maps: (B, S, F, h, w) features of the frames.
        levels: How many sizes, each half of the one before.
        radius: r; windows are 2 r + 1 pixels wide at every level.

    Raises:
        ValueError: If the smallest level would be empty.

    Source: Teed and Deng 2020, RAFT, section 3.2, with windows looked up on demand (section 3.4).
    """

    def __init__(self, maps: Tensor, levels: int, radius: int) -> None:
        self._radius = radius
        self._levels: list[tuple[Tensor, tuple[int, int]]] = []  # (B·S, h·w, F) and (h, w)
        current = maps.flatten(0, 1)
        for level in range(levels):
            if level:
                if min(current.shape[-2:]) < 2:
                    raise ValueError(
                        f"correlation pyramid: {tuple(maps.shape[-2:])} cannot be halved "
                        f"{levels - 1} times"
                    )
                current = F.avg_pool2d(current, 2)
            height, width = current.shape[-2:]
            table = current.flatten(2).transpose(1, 2).contiguous()
            self._levels.append((table, (height, width)))

    def look_up(self, points: Tensor, xy: Tensor) -> Tensor:
        """Correlate points with the windows around places in every frame.

        Args:
            points: (B, S, N, F) features of the points, as each frame knows them.
            xy: (B, S, N, 2) places, px of the maps, pixel centres at integers.

        Returns:
            (B, S, N, levels · (2 r + 1)²), windows with the slow axis along x and the fast one
            along y, zero outside the map.
        """
        frame = torch.arange(xy.shape[:2].numel(), device=xy.device).repeat_interleave(xy.shape[2])
        feature, place = points.flatten(0, 2), xy.flatten(0, 2)
        window = 2 * self._radius + 3
        rows = max(1, _ELEMENTS_AT_ONCE // (window * window * feature.shape[-1]))
        chunks = [
            torch.cat(
                [
                    self._window(table, size, part_frame, part_feature, part_place / 2**level)
                    for level, (table, size) in enumerate(self._levels)
                ],
                dim=-1,
            )
            for part_frame, part_feature, part_place in zip(
                torch.split(frame, rows),
                torch.split(feature, rows),
                torch.split(place, rows),
                strict=True,
            )
        ]
        found = torch.cat(chunks)
        return found.view(*xy.shape[:3], found.shape[-1])

    def _window(
        self, table: Tensor, size: tuple[int, int], frame: Tensor, feature: Tensor, xy: Tensor
    ) -> Tensor:
        """Return the (M, (2 r + 1)²) window of M points at one level."""
        centre = xy.round()
        x, x_inside = self._pixels(centre[:, 0], size[1])  # (M, 2 r + 3)
        y, y_inside = self._pixels(centre[:, 1], size[0])
        pixel = torch.flatten(y[:, :, None] * size[1] + x[:, None, :], 1)
        nearby = table[frame[:, None], pixel]  # (M, (2 r + 3)², F)
        product = (nearby @ feature[:, :, None])[..., 0] / feature.shape[-1] ** 0.5
        product = product.view(len(xy), y.shape[1], x.shape[1])
        product = product * (y_inside[:, :, None] & x_inside[:, None, :])
        along_x = self._weights(xy[:, 0], centre[:, 0], size[1]).to(product.dtype)
        along_y = self._weights(xy[:, 1], centre[:, 1], size[0]).to(product.dtype)
        blended = along_x @ product.transpose(1, 2) @ along_y.transpose(1, 2)  # (M, x, y)
        return torch.flatten(blended, 1)

    def _pixels(self, centre: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Return the (M, 2 r + 3) pixels around places on one axis, and which of them exist."""
        # Far outside is as good as farther; keeps what a wild estimate says within integers.
        near = centre.nan_to_num(nan=-torch.inf).clamp(-(2.0**20), 2.0**20)
        steps = torch.arange(-self._radius - 1, self._radius + 2, device=centre.device)
        pixel = near.long()[:, None] + steps
        if size == 1:  # an axis without extent: every place on it is its only pixel
            return torch.zeros_like(pixel), torch.ones_like(pixel, dtype=torch.bool)
        return pixel.clamp(0, size - 1), (pixel >= 0) & (pixel < size)

    def _weights(self, place: Tensor, centre: Tensor, size: int) -> Tensor:
        """Return (M, 2 r + 1, 2 r + 3): what of each pixel is in each sample on one axis."""
        steps = torch.arange(
            -self._radius - 1, self._radius + 2, dtype=place.dtype, device=place.device
        )
        samples = place[:, None] + steps[1:-1]
        pixels = centre[:, None] + steps
        if size == 1:  # all pixels are the same one; any will do
            weights = place.new_zeros(len(place), samples.shape[1], pixels.shape[1])
            weights[..., 0] = 1
            return weights
        # To [-1, 1] and back, as the published network samples. That rounds places by up to
        # 1e-5 px, which shows where correlations change by tens from one pixel to the next.
        samples = (samples * (2 / (size - 1)) - 1 + 1) / 2 * (size - 1)
        return (1 - (samples[:, :, None] - pixels[:, None, :]).abs()).clamp(min=0)
