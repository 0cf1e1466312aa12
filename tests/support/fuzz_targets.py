"""What a child of the fuzz test runs in tests of the child itself; found there by name."""

from __future__ import annotations

import os
import sys
import time

from vggt_sfm.benchmarks.fuzz_cases import Case
from vggt_sfm.benchmarks.fuzz_checks import Outcome


def ends_in_many_ways(case: Case) -> Outcome:
    """Do what the number of tracks says."""
    if case.tracks == 0:
        os.abort()
    if case.tracks == 1:
        time.sleep(600)
    if case.tracks == 7:
        sys.exit(3)
    return Outcome(kind="invalid" if case.tracks == 8 else "valid", detail=str(os.getpid()))
