"""A whole benchmark: list, measure, tell, compare."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from vggt_sfm._log import Progress, SilentProgress, get_logger
from vggt_sfm.benchmarks.bench.against import Change, changes
from vggt_sfm.benchmarks.bench.modes import MATCHING, MODES
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What of a data set is measured, and how."""

    modes: tuple[str, ...] = ("ff", "ba", "incremental", "global")
    config: ReconstructConfig = field(default_factory=ReconstructConfig)
    threads: int = 1
    """Of everything that is measured, 0: one a core."""
    seed: int = 0
    """Of the choice of photographs."""
    fast: bool = False
    limit: int | None = None
    """Most bags."""
    manifest: Path | None = None
    """A list to take instead of making one."""
    timeout_min: float | None = None
    """Minutes after which a mode of a bag has failed."""
    skip_missing: bool = False
    """Leave out bags whose photographs are not here."""
    retry: bool = False
    """Measure again what has failed."""
    roma_compat: bool = False
    against: Path | None = None
    """The folder of a run to compare with."""

    def __post_init__(self) -> None:
        unknown = [mode for mode in self.modes if mode not in MODES]
        if unknown or not self.modes:
            raise ValueError(f"modes must be some of {', '.join(MODES)}, not {self.modes}")


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
    options: BenchOptions,
    progress: Progress | None = None,
) -> BenchResult:
    """Measure a data set, going on from what the output folder already has.

    Args:
        dataset: The adapter of the data under ``root``.
        root: What the photographs' paths start from.
        output: Folder for the list, the results and the report.
        options: What is measured.
        progress: Where to report long work.

    Raises:
        InputError: If data are missing, or the folder holds results of another setup.
        WeightsError: If the model's weights are missing or do not fit.
        ReconstructionError: If results cannot be written.
    """
    if MATCHING in options.modes and dataset.name != "scannet1500":
        raise InputError(f"matching needs given intrinsics and pairs: {dataset.name} has neither")
    start = time.perf_counter()
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    manifest = settle_manifest(
        dataset, output, given=options.manifest, seed=options.seed, fast=options.fast
    )
    bags = available(list(manifest.bags), root, skip_missing=options.skip_missing)
    results, work = output / RESULTS, output / _WORK
    shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
    with writing(work):
        work.mkdir()
    config = replace(options.config, predict=with_environment(options.config.predict))
    make = partial(_measurer, config, options.threads, work)
    try:
        limit_s = None if options.timeout_min is None else 60 * options.timeout_min
        with Worker(make, output / _LOG, limit_s) as worker:
            setup = setup_of(
                manifest,
                worker.call("network"),
                config,
                threads=options.threads,
                roma_compat=options.roma_compat,
            )
            header = settle_header(output, setup)
            rows = read_rows(results)
            if options.retry:
                rows = [row for row in rows if row.status == "done"]
            write_rows(results, rows)  # without the torn line of a run that was killed
            tasks = tasks_left(limited(bags, options.limit), options.modes, rows)
            if rows:
                _logger.info("%d results were there", len(rows))
            spent = measure_all(
                tasks,
                dataset,
                root,
                worker,
                results,
                roma_compat=options.roma_compat,
                progress=progress or SilentProgress(),
            )
            whole = time.perf_counter() - start
            _logger.info("%.0f s of work were measured in %.0f s", spent, whole)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    found = Found(dataset, header, manifest, read_rows(results))
    compared = []
    if options.against is not None:
        compared = changes(dataset, manifest.bags, found.rows, options.against)
    return BenchResult(found, write_report(output, found, compared), compared)


def _measurer(config: ReconstructConfig, threads: int, work: Path) -> object:
    from vggt_sfm.benchmarks.bench.measure import Measurer  # with torch, in the worker alone

    return Measurer(config, threads, work)
