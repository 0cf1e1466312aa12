"""Things that a worker process can be asked to do."""

from __future__ import annotations

import os
import signal
import time

from vggt_sfm.errors import InputError


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
