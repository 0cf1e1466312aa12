"""Training of what two views tell each other, on the frozen backbone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from vggt_sfm.models.tiny.context import PairContext
from vggt_sfm.models.tiny.network import Features, TinyBackbone
from vggt_sfm.training.loop import Loss, Objective
from vggt_sfm.training.matching import coarse_loss, describe, pairwise, warped_cells
from vggt_sfm.training.pairs import PairBatch, draw_pairs
from vggt_sfm.training.pool import Shard


def begin_like(context: PairContext, backbone: TinyBackbone) -> None:
    """Let an untrained context describe cells just as the backbone does."""
    context.head.load_state_dict(backbone.coarse_head.state_dict())
    context.log_temperature.data.copy_(backbone.log_temperature.data)


def context_loss(
    context: PairContext, backbone: TinyBackbone, batch: PairBatch
) -> tuple[torch.Tensor, float]:
    """Return the loss of views that know each other, and that of the backbone alone beside it."""
    with torch.no_grad():
        features = describe(backbone, batch.image.flatten(0, 1))
    first, second = (context.view(_of(features, side)) for side in (0, 1))
    with torch.autocast(batch.image.device.type, torch.bfloat16):
        descriptors, matchable = context(first, second)
    warped = warped_cells(batch)
    told = coarse_loss(context.log_temperature, descriptors.float(), matchable.float(), warped)
    with torch.no_grad():
        alone = coarse_loss(
            backbone.log_temperature,
            pairwise(features.coarse),
            pairwise(features.matchable),
            warped,
        )
    return told, alone.item()


def _of(features: Features, side: int) -> Features:
    """The first (0) or the second (1) views of all pairs."""
    return Features(
        coarse=features.coarse[side::2],
        matchable=features.matchable[side::2],
        fine=features.fine[side::2],
        lateral=features.lateral[side::2],
    )


def context_objective(
    context: PairContext, backbone: TinyBackbone, batches: tuple[tuple[int, int], ...]
) -> Objective[Shard]:
    """Return the loss of one batch of rendered pairs, of one of several sizes.

    Args:
        context: Trained.
        backbone: Frozen.
        batches: Sides, px, and numbers of pairs to choose from.
    """

    def objective(data: Shard, rng: np.random.Generator, step: int) -> Iterator[Loss]:
        side, pairs = batches[rng.integers(len(batches))]
        device = next(context.parameters()).device
        told, alone = context_loss(context, backbone, draw_pairs(data, pairs, side, rng, device))
        yield Loss(told, {"coarse": told.item(), "gain": alone - told.item()})

    return objective
