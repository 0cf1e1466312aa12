"""How much memory a process has held."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import resource


def peak_bytes(usage: resource.struct_rusage) -> int:
    """Return the most memory that a process has held, as the system counted it."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
