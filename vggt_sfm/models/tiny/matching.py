"""Matches between two images from their backbone features: coarse cells, then sub-pixel."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from vggt_sfm.models.tiny.network import COARSE, FINE, Features, TinyBackbone

WINDOW = 13  # fine cells a side: one coarse cell of slack around the start
MIN_LOG_PROBABILITY = -7.6  # below, a cell and its best partner agree no better than by chance
MAX_CYCLE_PX = 2.0  # there and back again
MODE_STEPS = 4
FAR_PX2 = 150.0


def window_offsets(device: torch.device | str = "cpu") -> torch.Tensor:
    """Positions of the window's cells relative to its middle, (WINDOW², 2) px."""
    steps = (torch.arange(WINDOW, device=device) - WINDOW // 2) * float(FINE)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def fine_logits(
    fine_a: torch.Tensor,
    fine_b: torch.Tensor,
    image: torch.Tensor,
    xy_a: torch.Tensor,
    start_b: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlate points of one view with a window in the other.

    Args:
        fine_a: (B, F, h, w) fine descriptors of the first views.
        fine_b: (B, F, h, w) of the second views.
        image: (n,) which of the B pairs each point belongs to.
        xy_a: (n, 2) points, px of the first view.
        start_b: (n, 2) middle of the search, px of the second view.

    Returns:
        (n, WINDOW²) cosine similarities (-1 outside the image) and (n, 2) px: the middle of the
        window, which is the centre of the fine cell that holds ``start_b``.
    """
    query = _bilinear(fine_a, image, xy_a)  # (n, F)
    height, width = fine_b.shape[-2:]
    middle = (start_b / FINE).floor().long()
    steps = torch.arange(WINDOW, device=fine_b.device) - WINDOW // 2
    ys = (middle[:, 1, None] + steps)[:, :, None].expand(-1, WINDOW, WINDOW).flatten(1)
    xs = (middle[:, 0, None] + steps)[:, None, :].expand(-1, WINDOW, WINDOW).flatten(1)
    outside = (ys < 0) | (ys >= height) | (xs < 0) | (xs >= width)
    rows = ys.clamp(0, height - 1) * width + xs.clamp(0, width - 1)
    flat = fine_b.flatten(2).transpose(1, 2).reshape(-1, fine_b.shape[1])  # (B h w, F)
    patches = flat[image[:, None] * (height * width) + rows]  # (n, W², F)
    similarity = torch.einsum("nf,nwf->nw", query, patches)
    return similarity.masked_fill(outside, -1.0), (middle.float() + 0.5) * FINE


def _bilinear(maps: torch.Tensor, image: torch.Tensor, xy: torch.Tensor) -> torch.Tensor:
    """Read (B, F, h, w) maps at (n, 2) px of image number ``image``; (n, F)."""
    height, width = maps.shape[-2:]
    place = xy / FINE - 0.5
    corner = place.floor()
    fraction = place - corner
    flat = maps.flatten(2).transpose(1, 2).reshape(-1, maps.shape[1])
    result = torch.zeros(len(xy), maps.shape[1], device=maps.device, dtype=maps.dtype)
    for dx in (0, 1):
        for dy in (0, 1):
            x = (corner[:, 0].long() + dx).clamp(0, width - 1)
            y = (corner[:, 1].long() + dy).clamp(0, height - 1)
            weight = (fraction[:, 0] if dx else 1 - fraction[:, 0]) * (
                fraction[:, 1] if dy else 1 - fraction[:, 1]
            )
            result = result + weight[:, None] * flat[image * (height * width) + y * width + x]
    return result


@torch.no_grad()
def match_pair(
    model: TinyBackbone, first: Features, second: Features, *, most: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Match two images in both directions.

    A point starts at the centre of a coarse cell of either image, is found in the other to the
    sub-pixel, and must come back to where it started.

    Args:
        model: The backbone, for its temperatures.
        first: Features of one image (B = 1).
        second: Features of the other.
        most: Keep at most this many matches, the most confident.

    Returns:
        (n, 4) px (x, y in the first, x, y in the second) and (n,) confidence from 0 to 1.
    """
    scores = model.log_temperature.exp() * (
        first.coarse.flatten(2)[0].T @ second.coarse.flatten(2)[0]
    )
    # logarithm of the product of both softmaxes: products themselves would sink into denormals
    rows, columns = scores.logsumexp(1), scores.logsumexp(0)
    scores = scores.mul_(2).sub_(rows[:, None]).sub_(columns)
    scores.add_(F.logsigmoid(first.matchable.flatten())[:, None])
    scores.add_(F.logsigmoid(second.matchable.flatten()))
    over_second, over_first = scores.max(1), scores.max(0)
    forward = _one_way(model, first, second, over_second, over_first.indices, most)
    backward = _one_way(model, second, first, over_first, over_second.indices, most)
    xy = torch.cat([forward[0], backward[0][:, [2, 3, 0, 1]]])
    confidence = torch.cat([forward[1], backward[1]])
    order = confidence.argsort(descending=True, stable=True)[:most]
    return xy[order], confidence[order]


def _one_way(
    model: TinyBackbone,
    first: Features,
    second: Features,
    best: torch.return_types.max,
    back: torch.Tensor,
    most: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Matches that start at cell centres of the first image.

    ``best`` holds each cell's log probability and partner, ``back`` the partners' partners.
    """
    columns_a, columns_b = first.coarse.shape[-1], second.coarse.shape[-1]
    back = back[best.indices]
    here = torch.arange(len(back), device=back.device)
    near = ((back % columns_a - here % columns_a).abs() <= 1) & (
        (back // columns_a - here // columns_a).abs() <= 1
    )
    chosen = here[near & (best.values > MIN_LOG_PROBABILITY)]
    chosen = chosen[best.values[chosen].argsort(descending=True, stable=True)[:most]]
    start_a = cell_center(chosen, columns_a)
    start_b = cell_center(best.indices[chosen], columns_b)
    found, peak = refine(model, first.fine, second.fine, start_a, start_b)
    returned, _ = refine(model, second.fine, first.fine, found, start_a)
    kept = (returned - start_a).norm(dim=1) < MAX_CYCLE_PX
    confidence = ((best.values[chosen] / 2).exp() * peak)[kept]
    return torch.cat([start_a, found], 1)[kept], confidence


def cell_center(cell: torch.Tensor, columns: int) -> torch.Tensor:
    """Centres of (n,) coarse cells, numbered row by row; (n, 2) px."""
    return (torch.stack([cell % columns, cell // columns], -1).float() + 0.5) * COARSE


def refine(
    model: TinyBackbone,
    fine_a: torch.Tensor,
    fine_b: torch.Tensor,
    xy_a: torch.Tensor,
    start_b: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Find points of one image in the other to the sub-pixel.

    Args:
        model: The backbone, for its fine temperature.
        fine_a: (1, F, h, w) fine descriptors of the image that holds the points.
        fine_b: (1, F, h, w) of the image that is searched.
        xy_a: (n, 2) px.
        start_b: (n, 2) px, middle of each search.

    Returns:
        (n, 2) px and (n,) probability mass around the position found, at most 1.
    """
    image = torch.zeros(len(xy_a), dtype=torch.long, device=xy_a.device)
    logits, base = fine_logits(fine_a, fine_b, image, xy_a, start_b)
    probability = F.softmax(logits * model.log_fine_temperature.exp(), 1)
    offsets = window_offsets(probability.device)
    center = offsets[probability.argmax(1)]
    weight = probability
    # mean shift to the mode: a window that moves with its centre has no bias towards cell centres
    for _ in range(MODE_STEPS):
        # far cells weigh nothing; unclamped, their weights would be denormal and slow
        distance = (offsets - center[:, None]).square().sum(-1).clamp(max=FAR_PX2)
        weight = probability * torch.exp(-distance / (2 * FINE**2))
        center = (weight[..., None] * offsets).sum(1) / weight.sum(1).clamp(min=1e-9)[:, None]
    return center + base, weight.sum(1)
