"""The training loop that both parts of the embedded model share."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vggt_sfm._files import replacing
from vggt_sfm.errors import InputError, WeightsError
from vggt_sfm.training.pool import Shard, load_shards

EMA = 0.997
WARM_UP = 200
DECAY_SHARE = 0.4  # the last part of the run, where the rate falls to zero
SHARDS_IN_MEMORY = 8
SHARD_LIFE = 400  # steps between exchanges of the shards in memory
SAVE_EVERY = 250
LOG_EVERY = 50

Loss = tuple[torch.Tensor, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how fast to train."""

    steps: int
    peak_rate: float
    seed: int


def learning_rate(step: int, plan: Plan) -> float:
    """Warm-up, plateau, then linear decay to zero over the last part."""
    rise = min(1.0, (step + 1) / WARM_UP)
    fall = min(1.0, (plan.steps - step) / (DECAY_SHARE * plan.steps))
    return plan.peak_rate * min(rise, fall)


def train(
    model: nn.Module,
    loss_of: Callable[[Shard, np.random.Generator, int], Loss],
    pool: Path,
    checkpoint: Path,
    plan: Plan,
) -> None:
    """Train a model, resuming from its checkpoint if there is one.

    Args:
        model: Trained in place.
        loss_of: Loss of one step and numbers for the log, from the shards in memory, the step's
            random generator and the step.
        pool: Folder of training shards.
        checkpoint: Written every few hundred steps, with a .jsonl log beside it.
        plan: Length, rate and seed.

    Raises:
        InputError: If the pool is empty.
        WeightsError: If the checkpoint cannot be read, or the loss stops being finite: the last
            good checkpoint is kept.
    """
    average = torch.optim.swa_utils.AveragedModel(
        model,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(EMA),  # type: ignore[no-untyped-call]
    )
    optimizer = torch.optim.AdamW(_groups(model), lr=plan.peak_rate, betas=(0.9, 0.98))
    start, spent = _resume(checkpoint, model, average, optimizer)
    began = time.process_time()
    data: Shard | None = None
    with checkpoint.with_suffix(".jsonl").open("a") as log:
        for step in range(start, plan.steps):
            rng = np.random.default_rng([plan.seed, step])
            torch.manual_seed(plan.seed * 1_000_003 + step)
            if data is None or step % SHARD_LIFE == 0:
                epoch = np.random.default_rng([plan.seed, step // SHARD_LIFE, 1])
                data = _draw_shards(pool, epoch)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, plan)
            loss, numbers = loss_of(data, rng, step)
            if not bool(torch.isfinite(loss)):
                raise WeightsError(
                    f"loss is {float(loss.detach())} at step {step}; "
                    f"{checkpoint} keeps the last good state"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            average.update_parameters(model)
            seconds = spent + time.process_time() - began
            if step % LOG_EVERY == 0:
                log.write(
                    json.dumps({"step": step, "cpu_seconds": round(seconds, 1), **numbers}) + "\n"
                )
                log.flush()
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == plan.steps:
                state = {
                    "model": model.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step + 1,
                    "cpu_seconds": seconds,
                    "seed": plan.seed,
                }
                _save(checkpoint, state)


def load_average(checkpoint: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the averaged weights of a checkpoint, and its step, seconds and seed.

    Raises:
        WeightsError: If it cannot be read.
    """
    state = _read(checkpoint)
    prefix = "module."
    weights = {
        k.removeprefix(prefix): v for k, v in state["average"].items() if k.startswith(prefix)
    }
    return weights, {k: state[k] for k in ("step", "cpu_seconds", "seed")}


def _read(checkpoint: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{checkpoint}: cannot be read as a checkpoint") from error
    return state


def _resume(
    checkpoint: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, float]:
    """Return the step to go on from and the CPU seconds spent so far."""
    if not checkpoint.exists():
        return 0, 0.0
    state = _read(checkpoint)
    model.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"]), float(state["cpu_seconds"])


def _draw_shards(pool: Path, rng: np.random.Generator) -> Shard:
    shards = sorted(pool.glob("train-*.npz"))
    if not shards:
        raise InputError(
            f"{pool}: no training shards; make some with vggt_sfm.training.render_pool"
        )
    chosen = rng.choice(len(shards), min(SHARDS_IN_MEMORY, len(shards)), replace=False)
    return load_shards([shards[i] for i in chosen])


def _groups(model: nn.Module) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]


def _save(path: Path, state: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        torch.save(state, temporary)
