"""Python in a process of its own, measured by the system: memory, wall and CPU seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vggt_sfm._memory import peak_bytes


class Finished(NamedTuple):
    """A process that has ended."""

    exit_code: int
    output: str
    peak: int
    """Most memory that it held, bytes."""
    seconds: float
    cpu_seconds: float = 0.0
    """Of all its threads and of its own children, imports included."""


def run(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Finished:
    """Run Python to its end; what it writes to stderr is shown.

    A child starts with its parent's peak as its own, so that where memory counts this process must
    remain small.

    Args:
        *arguments: Of the interpreter.
        environment: Variables beside those of this process.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    ) as child:
        output = child.stdout.read() if child.stdout else ""
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return Finished(
        child.returncode,
        output,
        peak_bytes(usage),
        time.perf_counter() - start,
        usage.ru_utime + usage.ru_stime,
    )
