"""The one training loop: of the embedded model's parts, and of any VGGT."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vggt_sfm._log import get_logger
from vggt_sfm.errors import WeightsError
from vggt_sfm.training import parallel
from vggt_sfm.training.checkpoints import load_snapshot, save_snapshot
from vggt_sfm.training.curves import Log, Row
from vggt_sfm.training.optimizer import trained
from vggt_sfm.training.plan import Plan, rate_factor
from vggt_sfm.training.state import TrainingState

PATIENCE = 5  # steps in a row whose loss or gradient is not finite
_SIGNIFICANT_DIGITS = 5
_log = get_logger(__name__)
Data = TypeVar("Data")


class Loss(NamedTuple):
    """A loss, or one of several that make up a step's, and numbers for the log."""

    value: Tensor  # scalar with a gradient
    numbers: dict[str, float]


Objective = Callable[[Data, np.random.Generator, int], Iterable[Loss]]
Source = Callable[[int, int], Data]


class _Outcome(NamedTuple):
    row: Row
    updated: bool


def train(
    model: nn.Module,
    objective: Objective[Data],
    source: Source[Data],
    folder: Path,
    plan: Plan,
) -> TrainingState:
    """Train a model, going on where an earlier run in the same folder stopped.

    A step whose loss or gradient is not finite changes nothing and is warned of. In processes
    that torchrun started, gradients are averaged over them, and the first one writes.

    Args:
        model: Trained in place, on the device where it is.
        objective: Yields losses whose sum is the step's, from its data, a random generator and
            its number. Each is led back to the weights before the next is asked for, so that a
            large batch needs no more memory than its largest part.
        source: Returns the data for a step and a rank, always the same ones; it works in a
            thread of its own, one step ahead.
        folder: For checkpoints, the log and its curves.
        plan: Length, rates and seed.

    Returns:
        The model and its average at the end.

    Raises:
        InputError: If the plan does not fit the model.
        WeightsError: If there are checkpoints and none can be read or fits, or the loss is not
            finite for several steps in a row; the last good checkpoint is kept.
    """
    state = TrainingState(model, plan)
    start, spent, began = 0, 0.0, time.process_time()
    if snapshot := load_snapshot(folder):
        state.restore(snapshot, folder)
        start, spent = int(snapshot.numbers["step"]), snapshot.numbers["cpu_seconds"]
    parallel.share_weights(model)
    log = Log(folder, start) if parallel.rank() == 0 else None
    failures = 0
    for step, data in _ahead(source, range(start, plan.steps)):
        row, updated = _advance(state, objective, data, step, plan)
        failures = 0 if updated else failures + 1
        if failures:
            _warn_or_stop(row, failures, folder)
        row["cpu_seconds"] = round(spent + time.process_time() - began, 1)
        if log and step % plan.log_every == 0:
            log.add(row)
        if log and ((step + 1) % plan.save_every == 0 or step + 1 == plan.steps):
            numbers = {"step": step + 1, "cpu_seconds": row["cpu_seconds"], "seed": plan.seed}
            save_snapshot(folder, state.snapshot(numbers))
            log.draw()
    parallel.wait()
    return state


def _ahead(source: Source[Data], steps: range) -> Iterator[tuple[int, Data]]:
    """Yield each step's data, while those of the next are being made."""
    with ThreadPoolExecutor(1) as thread:
        made = [thread.submit(source, step, parallel.rank()) for step in steps[:1]]
        for step in steps:
            data = made.pop().result()
            if step + 1 in steps:
                made.append(thread.submit(source, step + 1, parallel.rank()))
            yield step, data


def _advance(
    state: TrainingState, objective: Objective[Data], data: Data, step: int, plan: Plan
) -> _Outcome:
    """Do a step, or leave all as it is where the loss or the gradient is not finite."""
    rank, size = parallel.rank(), parallel.size()
    torch.manual_seed(plan.seed * 1_000_003 + step * size + rank)
    state.optimizers.set_rates(rate_factor(step, plan))
    state.optimizers.zero_grad()
    total = torch.zeros((), device=next(state.model.parameters()).device)
    numbers: dict[str, float] = {}
    for loss in objective(data, np.random.default_rng([plan.seed, step, rank]), step):
        loss.value.backward()  # type: ignore[no-untyped-call]
        total += loss.value.detach()
        for name, number in loss.numbers.items():
            numbers[name] = numbers.get(name, 0.0) + number
    parameters = list(trained(state.model).values())
    parallel.average_gradients(parameters)
    total = parallel.mean(total)  # after all parts, so that all processes decide alike
    norm = nn.utils.clip_grad_norm_(parameters, plan.clip)
    updated = bool(torch.isfinite(total) & torch.isfinite(norm))
    if updated:
        state.optimizers.step()
        if state.average:
            state.average.update(state.model)
    measured = {"loss": float(total), **numbers, "gradient": float(norm)}
    measured["rate_factor"] = rate_factor(step, plan)
    rounded = {name: float(f"{v:.{_SIGNIFICANT_DIGITS}g}") for name, v in measured.items()}
    return _Outcome({"step": step, **rounded}, updated)


def _warn_or_stop(row: Row, failures: int, folder: Path) -> None:
    problem = f"step {row['step']}: the loss is {row['loss']}, its gradient {row['gradient']}"
    if failures >= PATIENCE:
        raise WeightsError(
            f"{problem}, for the {failures}th time in a row; {folder} keeps the last good "
            "checkpoint; try a lower rate"
        )
    _log.warning("%s; nothing is changed by it", problem)
