"""Losses that teach the backbone to match: cells by cross-entropy, then sub-pixel positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F

from vggt_sfm.models.tiny.matching import cell_center, fine_logits, window_offsets
from vggt_sfm.models.tiny.network import COARSE, FINE, Features, TinyBackbone
from vggt_sfm.training.pairs import PairBatch
from vggt_sfm.training.warp import warp


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingLoss:
    """The loss and what it was made of."""

    total: torch.Tensor
    coarse: float
    fine: float
    within_1px: float
    """Share of the fine training points found within 1 px."""
    median_px: float


def matching_loss(model: TinyBackbone, batch: PairBatch, *, fine_points: int = 96) -> MatchingLoss:
    """Match each pair in both directions.

    Args:
        model: The backbone being trained.
        batch: B rendered pairs.
        fine_points: Points a pair and direction for the fine loss.
    """
    features = describe(model, batch.image.flatten(0, 1))
    warped = warped_cells(batch)
    coarse = coarse_loss(
        model.log_temperature, pairwise(features.coarse), pairwise(features.matchable), warped
    )
    centers = warped.centers
    fine_terms, errors = [], []
    for source, (there, seen) in enumerate(warped.ways):
        if fine_points:
            loss, error = _fine_terms(model, features, centers, there, seen, source, fine_points)
            fine_terms.append(loss)
            errors.append(error)
    fine = torch.stack(fine_terms).mean() if fine_terms else coarse.new_zeros(())
    error = torch.cat(errors) if errors else coarse.new_full((1,), float("nan"))
    return MatchingLoss(
        total=coarse + fine,
        coarse=coarse.item(),
        fine=fine.item(),
        within_1px=float((error < 1).float().mean()),
        median_px=float(error.median()),
    )


class Warped(NamedTuple):
    """Where the coarse cells of both views of B pairs are in the other view."""

    centers: torch.Tensor  # (B, cells, 2) px, the same in all views
    ways: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    """For the first and the second views: (B, cells, 2) px in the other, (B, cells) if seen."""


def warped_cells(batch: PairBatch) -> Warped:
    """Carry the centres of all coarse cells of a batch into the other view of their pair."""
    rows, columns = (side // COARSE for side in batch.image.shape[-2:])
    cells = torch.arange(rows * columns, device=batch.image.device)
    centers = cell_center(cells, columns).expand(len(batch.image), -1, -1)
    ways = (warp(batch.geometry(s), batch.geometry(1 - s), centers) for s in (0, 1))
    return Warped(centers, tuple(ways))


def coarse_loss(
    log_temperature: torch.Tensor,
    descriptors: torch.Tensor,
    matchable: torch.Tensor,
    warped: Warped,
) -> torch.Tensor:
    """Cross-entropy of cells and whether they are seen, both ways.

    Args:
        log_temperature: Of the similarities.
        descriptors: (B, 2, D, h, w) unit vectors.
        matchable: (B, 2, h, w) logits of being seen in the other view.
        warped: The truth.
    """
    columns = descriptors.shape[-1]
    described = descriptors.flatten(3)  # (B, 2, D, cells)
    scores = log_temperature.exp() * torch.einsum("bdi,bdj->bij", described[:, 0], described[:, 1])
    seeable = matchable.flatten(2)
    terms = []
    for source, (there, seen) in enumerate(warped.ways):
        logits = scores if source == 0 else scores.transpose(1, 2)
        terms.append(_coarse_terms(logits, there, seen, columns))
        terms.append(F.binary_cross_entropy_with_logits(seeable[:, source], seen.float()))
    return torch.stack(terms).sum() / 2


def describe(model: TinyBackbone, images: torch.Tensor) -> Features:
    """Run the backbone in bf16, the losses in fp32."""
    with torch.autocast(images.device.type, torch.bfloat16):
        features = model(images.contiguous(memory_format=torch.channels_last))
    return Features(
        coarse=features.coarse.float(),
        matchable=features.matchable.float(),
        fine=features.fine.float(),
        lateral=features.lateral.float(),
    )


def pairwise(x: torch.Tensor) -> torch.Tensor:
    """(2B, …) to (B, 2, …)."""
    return x.reshape(-1, 2, *x.shape[1:])


def _coarse_terms(
    logits: torch.Tensor, there: torch.Tensor, seen: torch.Tensor, columns: int
) -> torch.Tensor:
    """Cross-entropy over the other view's cells, for the cells that are seen there."""
    cell = (there / COARSE).floor().long()
    target = (cell[..., 1] * columns + cell[..., 0]).clamp(0, logits.shape[-1] - 1)
    if not bool(seen.any()):
        return logits.sum() * 0
    return F.cross_entropy(logits[seen], target[seen], label_smoothing=0.02)


def _fine_terms(
    model: TinyBackbone,
    features: Features,
    centers: torch.Tensor,
    there: torch.Tensor,
    seen: torch.Tensor,
    source: int,
    points: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy over a window around a jittered start, and the errors in px."""
    order = (
        (torch.rand(seen.shape, device=seen.device) + seen.float())
        .topk(min(points, seen.shape[1]), dim=1)
        .indices
    )
    keep = seen.gather(1, order)
    pair, slot = keep.nonzero(as_tuple=True)
    if len(pair) == 0:
        return features.fine.sum() * 0, seen.new_zeros(0, dtype=torch.float32)
    cell = order[pair, slot]
    true_xy = there[pair, cell]
    # the coarse stage starts the search at a cell centre, one cell off at worst
    start = ((true_xy / COARSE).floor() + 0.5) * COARSE
    shift = torch.randint(-1, 2, start.shape, device=start.device)
    shift = shift * (torch.rand(len(start), 1, device=start.device) < 0.35)
    start = start + COARSE * shift
    fine = pairwise(features.fine)
    logits, base = fine_logits(
        fine[:, source], fine[:, 1 - source], pair, centers[pair, cell], start
    )
    logits = logits * model.log_fine_temperature.exp()
    offsets = window_offsets(logits.device) + base[:, None]  # (n, window, 2) px
    distance = ((offsets - true_xy[:, None]) / FINE).square().sum(-1)
    reachable = distance.amin(1) < 1.0
    # a narrow bump instead of one cell: its centroid is the true position
    target = F.softmax(-distance / (2 * 0.5**2), dim=1)
    loss = -(target * F.log_softmax(logits, 1)).sum(1)
    loss = loss + (target * target.clamp(min=1e-9).log()).sum(1)
    best = offsets[torch.arange(len(logits)), logits.detach().argmax(1)]
    errors = (best - true_xy).norm(dim=-1)
    return loss[reachable].mean() if bool(reachable.any()) else loss.sum() * 0, errors
