"""How much memory a process has held."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import resource


def peak_bytes(usage: resource.struct_rusage) -> int:
    """Return the most memory that a process has held, as the system counted it."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """Give freed memory back and let the process's peak begin anew, where that works (Linux)."""
    with suppress(OSError, AttributeError):  # of glibc alone
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float | None:
    """Return the most memory that this process has held since the peak was forgotten, if ever.

    None where the system does not tell.
    """
    with suppress(OSError):
        status = Path("/proc/self/status").read_text()
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    if sys.platform == "win32":
        return None
    import resource  # exists on POSIX only

    return peak_bytes(resource.getrusage(resource.RUSAGE_SELF)) / 2**20
