"""Things that a worker process can be asked to do, and a worker without a process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vggt_sfm.benchmarks.bench.worker import WorkFailed
from vggt_sfm.errors import InputError, VggtSfmError


class Calculator:
    """Divides, and dies when told to."""

    def __init__(self, count: int = 0) -> None:
        self.calls = count

    def divide(self, a: float, b: float) -> float:
        self.calls += 1
        return a / b

    def number_of_calls(self) -> int:
        return self.calls

    def process_id(self) -> int:
        return os.getpid()

    def refuse(self) -> None:
        raise InputError("a.jpg: not an image")

    def sleep(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def die(self) -> None:
        os.write(1, b"last words\n")
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self) -> None:
        os._exit(3)


def cannot_be_made() -> Calculator:
    raise InputError("no weights")


class HereWorker:
    """Does the work in this process, where a test has no time for another one."""

    def __init__(self, make: Callable[[], Any], log: Path, timeout_s: float | None) -> None:
        self._served = make()

    def call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._served, method)(*arguments)
        except VggtSfmError as error:
            raise WorkFailed(str(error)) from error

    def __enter__(self) -> HereWorker:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""
