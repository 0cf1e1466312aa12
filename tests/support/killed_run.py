"""Runs the real command line and kills itself, as if by ``kill -9``, in the middle of a task.

Usage: ``python killed_run.py TASK -- ARGUMENTS…`` where TASK is the name of a progress task, or
``export`` for the moment between writing the model and writing the points.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from vggt_sfm._log import SilentProgress, Task
from vggt_sfm.cli import reconstruct as command
from vggt_sfm.cli.main import main
from vggt_sfm.pipelines import stages


def die(*_: object) -> NoReturn:
    """Leave no time to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


class DeadlyTask:
    """A task in which the process dies at the first step."""

    def advance(self, steps: int = 1) -> None:
        die()


class DeadlyProgress(SilentProgress):
    """Silent until the task of the given name."""

    def __init__(self, deadly: str) -> None:
        self._deadly = deadly

    @contextmanager
    def task(self, name: str, total: int | None) -> Iterator[Task]:  # type: ignore[override]
        with super().task(name, total) as task:
            yield DeadlyTask() if name == self._deadly else task
            if name == self._deadly:
                die()


if __name__ == "__main__":
    where, separator, *arguments = sys.argv[1:]
    assert separator == "--"
    command.open_console = lambda level: DeadlyProgress(where)  # type: ignore[assignment]
    if where == "export":
        stages.export_ply = die
    main(arguments)
