"""What importing the native libraries does to a process is undone."""

from __future__ import annotations

import signal
import subprocess
import sys

CODE = """
import logging, os, signal
from vggt_sfm.cli.native import settle_native_libraries
settle_native_libraries(logging.INFO)
import pycolmap, pyceres
assert pycolmap.logging.minloglevel == pyceres.logging.minloglevel == 2
settle_native_libraries(logging.DEBUG)
assert pycolmap.logging.minloglevel == pyceres.logging.minloglevel == 0
os.kill(os.getpid(), signal.SIGTERM)
import time
time.sleep(30)
"""


def test_sigterm_ends_the_process_at_once_and_silently() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == -signal.SIGTERM
    assert done.stderr == ""
