"""What the embedded model does on rendered scenes with textures it was not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from vggt_sfm.errors import InputError
from vggt_sfm.models.tiny.model import TinyModel
from vggt_sfm.training.depth import depth_loss, solved_scene
from vggt_sfm.training.matching import matching_loss
from vggt_sfm.training.pairs import draw_pairs
from vggt_sfm.training.pool import load_shard
from vggt_sfm.training.solved import load_solved, path_of_solved

_BATCHES = 24
_PAIRS = 8
_SCENES = 48
_SIDE = 128
_GOOD_DEPTH_RATIO = 1.25


@torch.no_grad()
def evaluate(model: TinyModel, pool: Path) -> dict[str, float]:
    """Measure matching and depth on the pool's validation shard.

    Returns:
        ``match_within_1px`` and ``match_median_px`` of the fine stage from a start at most one
        cell off, at 128 px; ``depth_within_25_percent`` and ``depth_median_error`` of completed
        depth with the scene's scale removed, where matches and cameras are the model's own.

    Raises:
        InputError: If the pool has no validation shard, or it was not solved.
    """
    shards = sorted(pool.glob("val-*.npz"))
    if not shards:
        raise InputError(f"{pool}: no validation shard")
    shard = load_shard(shards[0])
    within, median = [], []
    for batch in range(_BATCHES):
        torch.manual_seed(batch)
        pairs = draw_pairs(shard, _PAIRS, _SIDE, np.random.default_rng(batch))
        loss = matching_loss(model.backbone, pairs)
        within.append(loss.within_1px)
        median.append(loss.median_px)
    solved = load_solved(path_of_solved(shards[0]))
    errors = []
    for number in range(_SCENES):
        given = solved_scene(model.backbone, shard, solved, np.random.default_rng(number))
        errors.append(depth_loss(model.depth_head, given)[1])
    error = torch.cat(errors).exp()
    return {
        "match_within_1px": round(float(np.mean(within)), 4),
        "match_median_px": round(float(np.median(median)), 3),
        "depth_within_25_percent": round(float((error < _GOOD_DEPTH_RATIO).float().mean()), 4),
        "depth_median_error": round(float(error.median()) - 1, 4),
    }
