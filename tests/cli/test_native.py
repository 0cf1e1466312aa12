"""What importing the native libraries does to a process is undone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from vggt_sfm.cli.native import let_waiting_threads_sleep

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


def test_waiting_threads_sleep_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    let_waiting_threads_sleep()
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    let_waiting_threads_sleep()
    assert os.environ["GOMP_SPINCOUNT"] == "5"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    let_waiting_threads_sleep()
    assert "GOMP_SPINCOUNT" not in os.environ


def test_the_command_line_sets_this_before_torch_is_there() -> None:
    code = (
        "import os, sys; from vggt_sfm.cli.main import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    )
    environment = {
        k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.splitlines()[-1] == "1000 False"
