"""Measure bag after bag in all modes; what was measured before is not measured again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.benchmarks.bench.modes import MATCHING, TRIALS, Job, Measured
from vggt_sfm.benchmarks.bench.rows import Row, append_row, scored
from vggt_sfm.benchmarks.bench.worker import Worker, WorkFailed
from vggt_sfm.benchmarks.datasets.bags import Bag, Dataset, Truth
from vggt_sfm.benchmarks.scores import errors_of, pool
from vggt_sfm.errors import VggtSfmError

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One bag in one mode, still to be measured."""

    bag: Bag
    mode: str


def tasks_left(bags: Sequence[Bag], modes: Sequence[str], rows: Sequence[Row]) -> list[Task]:
    """Return what has no row yet, bag by bag."""
    done = {(row.scene, row.mode) for row in rows}
    return [
        Task(bag=bag, mode=mode) for bag in bags for mode in modes if (bag.name, mode) not in done
    ]


def measure_all(
    tasks: Sequence[Task],
    dataset: Dataset,
    root: Path,
    worker: Worker,
    results: Path,
    *,
    roma_compat: bool,
    progress: Progress,
) -> float:
    """Measure tasks and append a row for each; a bag that fails is a row too.

    Returns:
        Seconds of the work that was measured.
    """
    clock, truth_of = _Clock(tasks), lru_cache(maxsize=1)(dataset.truth)  # once a bag
    with progress.task("measuring", len(tasks)) as shown:
        for number, task in enumerate(tasks, 1):
            row = _measure(task, truth_of, root, worker, roma_compat=roma_compat)
            append_row(results, row)
            clock.count(task, row.spent_seconds)
            shown.advance()
            _logger.info("%d/%d %s; %s", number, len(tasks), _line(row), clock.left())
    return clock.spent


def _measure(
    task: Task,
    truth_of: Callable[[Bag], Truth | None],
    root: Path,
    worker: Worker,
    *,
    roma_compat: bool,
) -> Row:
    bag, mode = task.bag, task.mode
    truth = None
    start = time.perf_counter()
    try:
        truth = truth_of(bag)
        job = Job(
            bag=bag.name,
            mode=mode,
            photographs=tuple(root / image for image in bag.images),
            intrinsics=truth.intrinsics if truth and mode == MATCHING else None,
        )
        measured: Measured = worker.call("measure", job)
    except (VggtSfmError, WorkFailed) as error:
        trials = TRIALS if mode == MATCHING else 1
        nothing = np.full((trials, len(bag.images), 3, 4), np.nan)
        return Row(
            scene=bag.name,
            mode=mode,
            status="failed",
            reason=str(error),
            images=len(bag.images),
            spent_seconds=round(time.perf_counter() - start, 3),
            **_scored(nothing, truth),
        )
    cameras = measured.cam_from_world
    if roma_compat and mode == MATCHING:
        cameras = np.concatenate([cameras, cameras[-1:]])
    return Row(
        scene=bag.name,
        mode=mode,
        status="done",
        images=len(bag.images),
        registered=int(np.isfinite(cameras[0]).all(axis=(1, 2)).sum()),
        seconds=round(measured.seconds, 3),
        spent_seconds=round(measured.spent_seconds, 3),
        steps=measured.steps,
        peak_memory_mb=_whole(measured.peak_memory_mb),
        gpu_peak_mb=_whole(measured.gpu_peak_mb),
        remark=measured.remark,
        **_scored(cameras, truth),
    )


def _scored(cameras: Float64, truth: Truth | None) -> dict[str, Any]:
    """Return the fields of a row that need ground truth; cameras are (T, S, 3, 4)."""
    if truth is None:
        return {}
    return scored(pool([errors_of(trial, truth.cam_from_world) for trial in cameras]))


def _whole(megabytes: float | None) -> float | None:
    return None if megabytes is None else float(round(megabytes))


def _line(row: Row) -> str:
    """One result for people."""
    start = f"{row.scene} {row.mode}"
    if row.status == "failed":
        return f"{start}: FAILED: {row.reason}"
    area = f"AUC@30 {row.auc_exact['30']:.1f}, " if row.auc_exact else ""
    return f"{start}: {area}{row.registered} of {row.images} images, {row.seconds:.1f} s"


class _Clock:
    """Guesses how long the rest takes from what each mode has taken a photograph."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.spent = 0.0
        self._seconds = dict.fromkeys((task.mode for task in tasks), 0.0)
        self._done = Counter[str]()
        self._waiting = Counter[str]()
        for task in tasks:
            self._waiting[task.mode] += _weight(task)

    def count(self, task: Task, seconds: float) -> None:
        """Note what a task took."""
        self._seconds[task.mode] += seconds
        self._done[task.mode] += _weight(task)
        self._waiting[task.mode] -= _weight(task)
        self.spent += seconds

    def left(self) -> str:
        """Say how long the rest will take."""
        usual = self.spent / self._done.total()
        seconds = sum(
            weight * (self._seconds[mode] / self._done[mode] if self._done[mode] else usual)
            for mode, weight in self._waiting.items()
        )
        return f"{timedelta(seconds=round(seconds))} left"


def _weight(task: Task) -> int:
    """Every bag costs something, and every photograph."""
    return 1 + len(task.bag.images)
