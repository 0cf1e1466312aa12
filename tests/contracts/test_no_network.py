"""A reconstruction asks the network for nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import photos

# An audit hook sees what Python code does with sockets, whoever wrote it.
CODE = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise AssertionError(f"{event} {arguments}")

sys.addaudithook(watch)
from vggt_sfm.cli.main import main
main()
"""


def test_reconstruct_opens_no_connection(tmp_path: Path) -> None:
    photos.write_photos(tmp_path / "images", photos.views(3))
    done = subprocess.run(
        [sys.executable, "-c", CODE, "reconstruct", str(tmp_path / "images"), "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]
