"""Train a small VGGT on two scenes, each process on its share: ``parallel_run.py FOLDER``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from painted import SMALL, PaintedRoom

from vggt_sfm.models import VGGT
from vggt_sfm.training import parallel
from vggt_sfm.training.loop import Loss, train
from vggt_sfm.training.multitask.batch import SceneBatch
from vggt_sfm.training.multitask.objective import MultiTask, MultiTaskConfig, architecture_for
from vggt_sfm.training.plan import Plan

SCENES = 2
BAD_STEP = 1
# Tracks are drawn by each process for itself, so that they would differ.
TASKS = MultiTaskConfig(tracks=0.0, precision="float32", recompute=False)


def run(folder: Path) -> None:
    """Do a step, and one that the last process spoils for all."""
    cpu = torch.device("cpu")
    torch.manual_seed(parallel.rank())  # processes start apart and are brought together
    model = VGGT(architecture_for(SMALL, TASKS))
    objective = MultiTask(model, TASKS)

    def spoiled(data: list[SceneBatch], rng: np.random.Generator, step: int) -> Iterator[Loss]:
        bad = step == BAD_STEP and parallel.rank() == parallel.size() - 1
        for value, numbers in objective(data, rng, step):
            yield Loss(value * (torch.nan if bad else 1), numbers)

    def source(step: int, rank: int) -> list[SceneBatch]:
        mine = range(rank, SCENES, parallel.size())
        return [SceneBatch.of([PaintedRoom(2, seed=s).views([0, 1])], cpu) for s in mine]

    train(model, spoiled, source, folder, Plan(steps=2, peak_rate=1e-3, warm_up=1, log_every=1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with parallel.joined(torch.device("cpu")):
        run(Path(sys.argv[1]))
