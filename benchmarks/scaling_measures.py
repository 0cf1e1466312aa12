"""Measures of a backbone in training: cost of a step, held-out loss, poses of photographs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from vggt_sfm.benchmarks.embedded_matchers import ModelMatcher
from vggt_sfm.benchmarks.embedded_matches import SEQUENCE, STRECHA, pair_maps
from vggt_sfm.benchmarks.embedded_parts import photographs
from vggt_sfm.benchmarks.judged_matches import judge
from vggt_sfm.errors import InputError
from vggt_sfm.metrics.pose import auc_histogram
from vggt_sfm.models.tiny.model import TinyModel
from vggt_sfm.models.tiny.network import TinyBackbone
from vggt_sfm.training.matching import matching_loss
from vggt_sfm.training.pairs import PairBatch, draw_pairs
from vggt_sfm.training.pool import load_shard
from vggt_sfm.training.tiny import BATCHES, FINE_POINTS

_BATCHES_OF_EACH_SIZE = 12
_STRECHA_STEP = 4
_GAPS, _FRAME_STEP = (4, 7, 10, 15), 8
_ANGLE_DEG = 30


def step_flops(model: TinyBackbone) -> float:
    """Floating-point operations of a training step, forward and backward, in the mean."""
    return float(np.mean([_flops(model, side, pairs) for side, pairs in BATCHES]))


def _flops(model: TinyBackbone, side: int, pairs: int) -> int:
    flat = torch.full((pairs, 2, side, side), 2.0)
    batch = PairBatch(
        image=torch.rand(pairs, 2, 3, side, side),
        depth=flat,
        cam_from_world=torch.eye(3, 4).expand(pairs, 2, 3, 4),
        intrinsics=torch.tensor([[side, 0, side / 2], [0, side, side / 2], [0, 0, 1.0]]).expand(
            pairs, 2, 3, 3
        ),
    )
    with FlopCounterMode(display=False) as counter:
        matching_loss(model, batch, fine_points=FINE_POINTS).total.backward()  # type: ignore[no-untyped-call]
    model.zero_grad()
    return int(counter.get_total_flops())


@torch.no_grad()
def held_out_loss(model: TinyBackbone, pool: Path) -> float:
    """Mean training loss on pairs of the pool's validation shards.

    Raises:
        InputError: If it has none.
    """
    shards = sorted(pool.glob("val-*.npz"))
    if not shards:
        raise InputError(f"{pool}: no validation shard")
    shard = load_shard(shards[0])
    losses = []
    for side, pairs in BATCHES:
        for seed in range(_BATCHES_OF_EACH_SIZE):
            torch.manual_seed(seed)
            batch = draw_pairs(shard, pairs, side, np.random.default_rng(seed))
            losses.append(float(matching_loss(model, batch, fine_points=FINE_POINTS).total))
    return float(np.mean(losses))


def photograph_auc(model: TinyModel, data: Path) -> float:
    """AUC@30 of two-view poses from the model's matches, percent; the mean over three scenes.

    Scenes whose folder is missing are left out; NaN if all are.
    """
    scenes = [[*_pose_errors(model, data / name)] for name in (SEQUENCE, *STRECHA)]
    found = [auc_histogram(np.array(errors), _ANGLE_DEG) for errors in scenes if errors]
    return float(np.mean(found)) if found else float("nan")


def _pose_errors(model: TinyModel, folder: Path) -> Iterator[float]:
    if not folder.exists():
        return
    found = photographs(folder)
    count = len(found.images)
    chosen = [(i, i + gap) for gap in _GAPS for i in range(0, count - gap, _FRAME_STEP)]
    if folder.name in STRECHA:
        chosen = list(combinations(range(count), 2))[::_STRECHA_STEP]
    maps = pair_maps(found.scene)
    matcher = ModelMatcher(model, found.scene.frames, maps)
    for i, j in chosen:
        views = found.view(i), found.view(j)
        error = judge(matcher.match(i, j), views, (maps[i], maps[j])).pose_deg
        yield np.inf if error is None else error
