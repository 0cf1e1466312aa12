"""Matches between two images from their backbone features: coarse cells, then sub-pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vggt_sfm.models.tiny.context import PairContext, View
from vggt_sfm.models.tiny.network import COARSE, FINE, Features, TinyBackbone

WINDOW = 13  # fine cells a side that are trained: one coarse cell of slack around the start
SEARCH_WINDOW = 9  # that are searched: as many matches are right, at half the cost
RETURN_WINDOW = 7  # on the way back the place is known to a few pixels, or the match is wrong
MOST_CELLS = 1500  # of an image that are compared; the least matchable ones only cost time
MIN_PROBABILITY = 0.0224  # root; below, a cell and its partner agree no better than by chance
MAX_CYCLE_PX = 2.0  # there and back again
MODE_STEPS = 4
_SPARE = 1.5  # times more cells are refined than matches are kept
FAR_PX2 = 150.0
HIDDEN = -30.0  # logit of cells that are never matched


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Candidates:
    """What is matched of one image: its most matchable cells and all of its fine descriptors."""

    cells: torch.Tensor  # (n,) numbers of coarse cells, ascending
    columns: int  # coarse cells a row
    descriptors: torch.Tensor  # (n, D); products of two images' are logits of being the same
    matchable: torch.Tensor  # (n,) probability of being seen in the other image
    fine: torch.Tensor  # (1, F, h, w) unit vectors

    def centers(self) -> torch.Tensor:
        """Centres of the cells, (n, 2) px."""
        return cell_center(self.cells, self.columns)


def candidates(features: Features, log_temperature: torch.Tensor) -> Candidates:
    """Choose what to match of one image (B = 1), whatever the other is."""
    return chosen_cells(features.coarse[0], features.matchable[0], features.fine, log_temperature)


def told_candidates(
    context: PairContext, views: tuple[View, View], features: tuple[Features, Features]
) -> tuple[Candidates, Candidates]:
    """Choose what to match of two images (B = 1) that know each other."""
    descriptors, logits = context(*views)
    one, other = (
        chosen_cells(
            descriptors[0, side],
            # what lies outside the photograph stays hidden
            logits[0, side].where(f.matchable[0] > HIDDEN, HIDDEN),
            f.fine,
            context.log_temperature,
        )
        for side, f in enumerate(features)
    )
    return one, other


def chosen_cells(
    descriptors: torch.Tensor,
    logits: torch.Tensor,
    fine: torch.Tensor,
    log_temperature: torch.Tensor,
) -> Candidates:
    """Choose the most matchable cells of (D, h, w) unit descriptors by their (h, w) logits."""
    flat = logits.flatten()
    chosen = flat.topk(min(MOST_CELLS, len(flat))).indices
    chosen = chosen.sort().values
    return Candidates(
        cells=chosen,
        columns=descriptors.shape[-1],
        descriptors=descriptors.flatten(1).T[chosen] * (log_temperature / 2).exp(),
        matchable=flat[chosen].sigmoid(),
        fine=fine,
    )


def window_offsets(device: torch.device | str = "cpu", side: int = WINDOW) -> torch.Tensor:
    """Positions of the window's cells relative to its middle, (side², 2) px."""
    steps = (torch.arange(side, device=device) - side // 2) * float(FINE)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def fine_logits(
    fine_a: torch.Tensor,
    fine_b: torch.Tensor,
    image: torch.Tensor,
    xy_a: torch.Tensor,
    start_b: torch.Tensor,
    side: int = WINDOW,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlate points of one view with a window in the other.

    Args:
        fine_a: (B, F, h, w) fine descriptors of the first views.
        fine_b: (B, F, h, w) of the second views.
        image: (n,) which of the B pairs each point belongs to.
        xy_a: (n, 2) points, px of the first view.
        start_b: (n, 2) middle of the search, px of the second view.
        side: Fine cells a side of the window.

    Returns:
        (n, side²) cosine similarities (-1 outside the image) and (n, 2) px: the middle of the
        window, which is the centre of the fine cell that holds ``start_b``.
    """
    query = _bilinear(fine_a, image, xy_a)  # (n, F)
    height, width = fine_b.shape[-2:]
    middle = (start_b / FINE).floor().long()
    steps = torch.arange(side, device=fine_b.device) - side // 2
    ys = (middle[:, 1, None] + steps)[:, :, None].expand(-1, side, side).flatten(1)
    xs = (middle[:, 0, None] + steps)[:, None, :].expand(-1, side, side).flatten(1)
    outside = (ys < 0) | (ys >= height) | (xs < 0) | (xs >= width)
    rows = ys.clamp(0, height - 1) * width + xs.clamp(0, width - 1)
    flat = fine_b.permute(0, 2, 3, 1).reshape(-1, fine_b.shape[1])  # (B h w, F)
    rows = (rows + image[:, None] * (height * width)).flatten()
    patches = flat.index_select(0, rows).view(len(query), side**2, flat.shape[1])  # (n, side², F)
    similarity = torch.einsum("nf,nwf->nw", query, patches)
    return similarity.masked_fill(outside, -1.0), (middle.float() + 0.5) * FINE


def _bilinear(maps: torch.Tensor, image: torch.Tensor, xy: torch.Tensor) -> torch.Tensor:
    """Read (B, F, h, w) maps at (n, 2) px of image number ``image``; (n, F)."""
    height, width = maps.shape[-2:]
    place = xy / FINE - 0.5
    corner = place.floor()
    fraction = place - corner
    flat = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
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
    model: TinyBackbone, first: Candidates, second: Candidates, *, most: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Match two images.

    A point starts at the centre of a coarse cell of the first image, is found in the second to
    the sub-pixel, and must come back to where it started.

    Args:
        model: The backbone, for its fine temperature.
        first: What is matched of one image.
        second: What is matched of the other.
        most: Keep at most this many matches, the most confident.

    Returns:
        (n, 4) px (x, y in the first, x, y in the second) and (n,) confidence from 0 to 1.
    """
    here, there, trust = _coarse_matches(first, second)
    order = trust.argsort(descending=True, stable=True)[: int(_SPARE * most)]
    start_a, start_b = first.centers()[here[order]], second.centers()[there[order]]
    found, peak = refine(model, first.fine, second.fine, start_a, start_b)
    returned, _ = refine(model, second.fine, first.fine, found, start_a, side=RETURN_WINDOW)
    kept = (returned - start_a).norm(dim=1) < MAX_CYCLE_PX
    confidence = (trust[order] * peak)[kept]
    order = confidence.argsort(descending=True, stable=True)[:most]
    return torch.cat([start_a, found], 1)[kept][order], confidence[order]


def _coarse_matches(
    first: Candidates, second: Candidates
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pairs of candidates that are each other's best partner, or next to it.

    Returns:
        (m,) rows of the first's candidates, (m,) of the second's, and (m,) the root of their
        probability.
    """
    # scores are at most the temperature, so their exponentials need no shift
    root = (first.descriptors @ second.descriptors.T).exp_()
    left = (first.matchable / root.sum(1)).sqrt_()
    right = (second.matchable / root.sum(0)).sqrt_()
    root.mul_(left[:, None]).mul_(right)
    device = root.device
    values = root.cpu().numpy()
    there = values.argmax(1)  # NumPy's is many times faster than torch's, along rows
    trust = values[np.arange(len(there)), there]
    here = np.flatnonzero(trust > MIN_PROBABILITY)
    back = np.ascontiguousarray(values[:, there[here]].T).argmax(1)
    y, x = np.divmod(first.cells.cpu().numpy(), first.columns)
    near = (np.abs(y[back] - y[here]) <= 1) & (np.abs(x[back] - x[here]) <= 1)
    here = here[near]
    return (
        torch.as_tensor(here, device=device),
        torch.as_tensor(there[here], device=device),
        torch.as_tensor(trust[here], device=device),
    )


def cell_center(cell: torch.Tensor, columns: int) -> torch.Tensor:
    """Centres of (n,) coarse cells, numbered row by row; (n, 2) px."""
    return (torch.stack([cell % columns, cell // columns], -1).float() + 0.5) * COARSE


def refine(
    model: TinyBackbone,
    fine_a: torch.Tensor,
    fine_b: torch.Tensor,
    xy_a: torch.Tensor,
    start_b: torch.Tensor,
    *,
    side: int = SEARCH_WINDOW,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Find points of one image in the other to the sub-pixel.

    Args:
        model: The backbone, for its fine temperature.
        fine_a: (1, F, h, w) fine descriptors of the image that holds the points.
        fine_b: (1, F, h, w) of the image that is searched.
        xy_a: (n, 2) px.
        start_b: (n, 2) px, middle of each search.
        side: Fine cells a side of the search.

    Returns:
        (n, 2) px and (n,) probability mass around the position found, at most 1.
    """
    image = torch.zeros(len(xy_a), dtype=torch.long, device=xy_a.device)
    logits, base = fine_logits(fine_a, fine_b, image, xy_a, start_b, side)
    probability = torch.softmax(logits * model.log_fine_temperature.exp(), 1)
    center = window_offsets(probability.device, side)[probability.argmax(1)]
    squares = probability.view(len(probability), side, side)  # (n, rows, columns)
    steps = (torch.arange(side, device=xy_a.device) - side // 2) * float(FINE)
    mass = probability.sum(1)
    # mean shift to the mode: a window that moves with its centre has no bias towards cell centres
    for _ in range(MODE_STEPS):
        # a Gaussian is a product over x and y; far cells weigh nothing, but unclamped, their
        # weights would be denormal and slow
        square = (steps - center[..., None]).square().clamp(max=FAR_PX2)  # (n, 2, side)
        wx, wy = torch.exp(square / (-2 * FINE**2)).unbind(1)
        sums = torch.bmm(squares, torch.stack([wx, wx * steps], 2))  # (n, side, 2) over columns
        weighted = torch.stack([wy, wy * steps], 1)
        total = torch.bmm(weighted, sums)  # [[1, x], [y, xy]]
        mass = total[:, 0, 0]
        center = torch.stack([total[:, 0, 1], total[:, 1, 0]], 1) / mass.clamp(min=1e-9)[:, None]
    return center + base, mass
