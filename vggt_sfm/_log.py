"""Loggers and the progress protocol that library code reports to."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module; the library itself installs no handler."""
    return logging.getLogger(name)


class Task(Protocol):
    """One piece of long work that is being counted."""

    def advance(self, steps: int = 1) -> None:
        """Count steps as done."""


class Progress(Protocol):
    """Where long work is reported: a bar, plain lines, a recorder or nothing."""

    def task(self, name: str, total: int | None) -> AbstractContextManager[Task]:
        """Open a task of ``total`` steps (None: unknown) for a ``with`` block."""


class _SilentTask:
    def advance(self, steps: int = 1) -> None:
        """Ignore the steps."""


class SilentProgress:
    """Progress that shows nothing; the default of every library call."""

    def task(self, name: str, total: int | None) -> AbstractContextManager[Task]:
        """Return a task that ignores its steps."""
        return nullcontext(_SilentTask())
