"""Everything for people goes to stderr through here: log lines and progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from vggt_sfm._log import Progress as ProgressProtocol
from vggt_sfm._log import Task

_SECONDS_BETWEEN_LINES = 10.0


class ConsoleHandler(logging.Handler):
    """Prints log records above the bars that may be running."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; warnings say that they are."""
        prefix = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        self._console.print(prefix + self.format(record), markup=False, highlight=False)


class _BarTask:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        self._bars.advance(self._task, steps)


class BarProgress:
    """Bars, for a terminal; tasks may be open at the same time."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )

    @contextmanager
    def task(self, name: str, total: int | None) -> Iterator[Task]:
        """Show a bar while the ``with`` block runs."""
        self._bars.start()
        task = self._bars.add_task(name, total=total)
        try:
            yield _BarTask(self._bars, task)
        finally:
            self._bars.remove_task(task)
            if not self._bars.tasks:
                self._bars.stop()


class _LineTask:
    def __init__(self, console: Console, name: str, total: int | None) -> None:
        self._console = console
        self._of = f" of {total}" if total is not None else ""
        self._name = name
        self._done = 0
        self._last = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        """Print a line if the last one is a while ago."""
        self._done += steps
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._console.print(f"{self._name}: {self._done}{self._of}", highlight=False)


class LineProgress:
    """Plain lines at intervals, for a log file."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def task(self, name: str, total: int | None) -> Iterator[Task]:
        """Print lines while the ``with`` block runs."""
        yield _LineTask(self._console, name, total)


def open_console(level: int) -> ProgressProtocol:
    """Send the package's log to stderr from a level on; return progress that suits stderr."""
    console = Console(stderr=True, soft_wrap=True)
    logger = logging.getLogger("vggt_sfm")
    logger.handlers = [
        handler for handler in logger.handlers if not isinstance(handler, ConsoleHandler)
    ]
    logger.addHandler(ConsoleHandler(console))
    logger.setLevel(level)
    return BarProgress(console) if console.is_terminal else LineProgress(console)
