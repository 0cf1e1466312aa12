"""A process that does one piece of work after the other and may die of it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from vggt_sfm.errors import VggtSfmError

_spawn = multiprocessing.get_context("spawn")


class WorkFailed(Exception):
    """The work raised an error, or its process died of it."""


class Worker:
    """An object in a process of its own, which is made again when the process dies.

    What the process prints and logs goes to a file. It ends when this process does.
    """

    def __init__(
        self, make: Callable[[], object], log: Path, timeout_s: float | None = None
    ) -> None:
        """Start nothing yet.

        Args:
            make: Makes the object, in the process; can be pickled.
            log: Appended to.
            timeout_s: Longest time for one call; after that the process is killed.
        """
        self._timeout_s = timeout_s
        self._make = make
        self._log = log
        self._running: tuple[SpawnProcess, Connection] | None = None

    def call(self, method: str, *arguments: Any) -> Any:  # Any: of every method
        """Call a method of the object.

        Raises:
            WorkFailed: If the method raised something, took too long, or the process died.
            VggtSfmError: If the object cannot be made.
        """
        _, connection = self._running or self._start()
        connection.send((method, arguments))
        if not connection.poll(self._timeout_s):
            self.close()
            raise WorkFailed(f"took longer than {self._timeout_s:g} s")
        return self._answer()

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._running is not None:
            process, connection = self._running
            process.kill()
            process.join()
            connection.close()
            self._running = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> tuple[SpawnProcess, Connection]:
        ours, theirs = _spawn.Pipe()
        process = _spawn.Process(target=_serve, args=(self._make, theirs, self._log), daemon=True)
        process.start()
        theirs.close()
        self._running = process, ours
        self._answer()
        return process, ours

    def _answer(self) -> Any:
        if self._running is None:
            raise WorkFailed("the process has not been started")
        process, connection = self._running
        try:
            value = connection.recv()
        except (EOFError, ConnectionError) as error:
            process.join()
            code = process.exitcode or 0
            self.close()
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise WorkFailed(f"its process died ({how}); {self._log} may say why") from error
        if isinstance(value, BaseException):
            raise value
        return value


def _serve(make: Callable[[], object], connection: Connection, log: Path) -> None:
    """Answer calls until the other process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with log.open("a", buffering=1) as lines:
        os.dup2(lines.fileno(), 1)
        os.dup2(lines.fileno(), 2)
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
        try:
            served = make()
        except VggtSfmError as error:
            connection.send(error)
            return
        connection.send(None)
        while True:
            try:
                name, arguments = connection.recv()
            except EOFError:
                return
            try:
                answer = getattr(served, name)(*arguments)
            except Exception as error:  # noqa: BLE001 - one bad scene must not end a benchmark
                traceback.print_exc()
                known = isinstance(error, VggtSfmError)
                answer = WorkFailed(str(error) if known else f"{type(error).__name__}: {error}")
            connection.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
