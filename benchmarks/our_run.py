"""A reconstruction in a process of its own, with the CPU seconds of every piece of its work.

``python -m vggt_sfm.benchmarks.our_run IMAGES FOLDER CONFIG`` (JSON, as run.json has it) prints one
line of JSON: CPU seconds by stage and by task, and what was logged.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vggt_sfm import ReconstructConfig, reconstruct
from vggt_sfm._log import Task
from vggt_sfm.benchmarks.colmap_run import quiet
from vggt_sfm.io.plain import from_plain


class _Counter:
    def advance(self, steps: int = 1) -> None:
        """Count nothing: only the time matters."""


class TimedProgress:
    """Progress that sums the CPU seconds of tasks by name."""

    def __init__(self) -> None:
        """Start with no task."""
        self.cpu_seconds: dict[str, float] = {}

    @contextmanager
    def task(self, name: str, total: int | None) -> Iterator[Task]:
        """Time a task; one that runs inside another counts for both."""
        start = time.process_time()
        try:
            yield _Counter()
        finally:
            spent = time.process_time() - start
            self.cpu_seconds[name] = round(self.cpu_seconds.get(name, 0.0) + spent, 3)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def main(images: str, folder: str, config: str) -> None:
    """Reconstruct and print one line of JSON."""
    quiet()
    progress, log = TimedProgress(), _Lines()
    logging.getLogger("vggt_sfm").addHandler(log)
    logging.getLogger("vggt_sfm").setLevel(logging.INFO)
    # pycolmap writes no report either
    options = replace(from_plain(ReconstructConfig, json.loads(config)), report=False)
    result = reconstruct(Path(images), Path(folder), options, progress=progress)
    stages = {stage.name: stage.cpu_seconds for stage in result.report.stages}
    told = {"stages": stages, "tasks": progress.cpu_seconds, "log": log.lines}
    sys.stdout.write(json.dumps({**told, "line": result.report.line}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
