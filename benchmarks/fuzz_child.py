"""A process that runs cases for another one, which notices when it dies or hangs."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

from vggt_sfm.benchmarks.fuzz_cases import Case, from_plain, to_plain
from vggt_sfm.benchmarks.fuzz_checks import Outcome

_START_SECONDS = 120.0
_STDERR_TAIL = 1500  # characters


class Child:
    """Runs one case after another in a process of its own; a dead process is replaced."""

    def __init__(self, run: Callable[[Case], Outcome], stderr: Path, timeout: float) -> None:
        """Start no process yet.

        Args:
            run: What the process does with each case; found by its name in the process.
            stderr: File that gets what the process writes to stderr.
            timeout: Seconds a case may take.
        """
        self._run = run
        self._stderr = stderr
        self._timeout = timeout
        self._process: multiprocessing.context.SpawnProcess | None = None
        self._pipe: Connection | None = None
        self.before: list[Case] = []
        """What the process had run before its last case."""
        self._last: Case | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def __call__(self, case: Case) -> Outcome:
        """Run a case; a process that ends or takes too long is a crash of this case."""
        if self._last is not None:
            self.before.append(self._last)
        pipe = self._pipe or self._start()
        self._last, started = case, time.monotonic()
        pipe.send(json.dumps(to_plain(case)))
        try:
            if pipe.poll(self._timeout):
                return pipe.recv()  # type: ignore[no-any-return]
            death = f"nothing after {self._timeout:g} s"
        except (EOFError, ConnectionResetError):
            death = self._cause_of_death()
        self._end()
        tail = self._stderr.read_text(errors="replace")[-_STDERR_TAIL:]
        return Outcome(
            kind="crash", detail=f"{tail}\n{death}".strip(), seconds=time.monotonic() - started
        )

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")  # the parent's threads are not for children
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(self._run, theirs, self._stderr), daemon=True
        )
        self._process.start()
        theirs.close()  # or the end of the process would not close the pipe
        self.before, self._last = [], None
        if not self._pipe.poll(_START_SECONDS):
            self._end()
            raise TimeoutError(f"a process did not start within {_START_SECONDS:g} s")
        self._pipe.recv()
        return self._pipe

    def _cause_of_death(self) -> str:
        code = None
        if self._process is not None:
            self._process.join(_START_SECONDS)
            code = self._process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def _end(self) -> None:
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = self._pipe = None


def _serve(run: Callable[[Case], Outcome], pipe: Connection, stderr: Path) -> None:
    """Answer cases with outcomes until the other side is gone."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with stderr.open("w") as file:  # also of C++, whose last words explain an abort
        os.dup2(file.fileno(), sys.stderr.fileno())
    pipe.send("ready")
    while True:
        try:
            case = from_plain(json.loads(pipe.recv()))
        except EOFError:
            return
        pipe.send(run(case))
