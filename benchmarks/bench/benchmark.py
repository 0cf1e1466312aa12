"""A whole benchmark: list, measure, tell, compare."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from vggt_sfm._log import Progress, SilentProgress, get_logger
from vggt_sfm.benchmarks.bench.against import Change, changes
from vggt_sfm.benchmarks.bench.config import BenchConfig
from vggt_sfm.benchmarks.bench.modes import MATCHING
from vggt_sfm.benchmarks.bench.plan import (
    RESULTS,
    available,
    settle_header,
    settle_manifest,
    setup_of,
)
from vggt_sfm.benchmarks.bench.report import Found, write_report
from vggt_sfm.benchmarks.bench.rows import read_rows, write_rows
from vggt_sfm.benchmarks.bench.run import measure_all, tasks_left
from vggt_sfm.benchmarks.bench.worker import Worker
from vggt_sfm.benchmarks.datasets.bags import Dataset
from vggt_sfm.benchmarks.datasets.manifest import limited
from vggt_sfm.errors import InputError
from vggt_sfm.models.store import with_environment
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.stage import writing

_LOG, _WORK = "worker.log", "work"
_logger = get_logger(__name__)


class BenchResult(NamedTuple):
    """What a benchmark has found."""

    found: Found
    markdown: str
    changes: list[Change]
    """Against the kept run; empty without one."""


def benchmark(
    dataset: Dataset,
    root: Path,
    output: Path,
    bench: BenchConfig,
    config: ReconstructConfig,
    *,
    roma_compat: bool = False,
    progress: Progress | None = None,
) -> BenchResult:
    """Measure a data set, going on from what the output folder already has.

    Args:
        dataset: The adapter of the data under ``root``.
        root: What the photographs' paths start from.
        output: Folder for the list, the results and the report.
        bench: What is measured.
        config: How to reconstruct.
        roma_compat: Whether the last trial of a matcher counts twice.
        progress: Where to report long work.

    Raises:
        InputError: If data are missing, or the folder holds results of another setup.
        WeightsError: If the model's weights are missing or do not fit.
        ReconstructionError: If results cannot be written.
    """
    modes = bench.chosen_modes
    if MATCHING in modes and dataset.name != "scannet1500":
        raise InputError(f"matching needs given intrinsics and pairs: {dataset.name} has neither")
    start = time.perf_counter()
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    manifest = settle_manifest(dataset, output, bench)
    bags = available(list(manifest.bags), root, skip_missing=bench.skip_missing)
    config = replace(config, predict=with_environment(config.predict))
    with _worker(output, bench, config) as worker:
        network = worker.call("network")
        setup = setup_of(manifest, network, config, bench.threads, roma_compat=roma_compat)
        header = settle_header(output, setup)
        rows = read_rows(output / RESULTS)
        if rows:
            _logger.info("%d results were there", len(rows))
        if bench.retry:
            rows = [row for row in rows if row.status == "done"]
        write_rows(output / RESULTS, rows)  # without the torn line of a run that was killed
        spent = measure_all(
            tasks_left(limited(bags, bench.limit), modes, rows),
            dataset,
            root,
            worker,
            output / RESULTS,
            roma_compat=roma_compat,
            progress=progress or SilentProgress(),
        )
        whole = time.perf_counter() - start
        _logger.info("%.0f s of work were measured in %.0f s", spent, whole)
    found = Found(dataset, header, manifest, read_rows(output / RESULTS))
    compared = []
    if bench.against is not None:
        compared = changes(dataset, manifest.bags, found.rows, bench.against)
    return BenchResult(found, write_report(output, found, compared), compared)


@contextmanager
def _worker(output: Path, bench: BenchConfig, config: ReconstructConfig) -> Iterator[Worker]:
    """Start a worker with a folder for its work, which is gone afterwards."""
    work = output / _WORK
    shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
    with writing(work):
        work.mkdir()
    make = partial(_measurer, config, bench.threads, work)
    limit_s = None if bench.timeout_min is None else 60 * bench.timeout_min
    try:
        with Worker(make, output / _LOG, limit_s) as worker:
            yield worker
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _measurer(config: ReconstructConfig, threads: int, work: Path) -> object:
    from vggt_sfm.benchmarks.bench.measure import Measurer  # with torch, in the worker alone

    return Measurer(config, threads, work)
