"""A run that was killed in any stage goes on where it was, and ends in the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vggt_sfm.pipelines.reconstruct import reconstruct

SUPPORT = Path(__file__).resolve().parents[1] / "support"

# task in whose middle the run is killed -> stages that it had finished
KILLED_IN = {
    "reading": [],
    "describe images": ["ingest"],
    "match pairs": ["ingest"],
    "features": ["ingest", "predict", "know"],
    "adjust": ["ingest", "predict", "know", "track"],
    "export": ["ingest", "predict", "know", "track", "adjust"],
}


@pytest.fixture(scope="module")
def undisturbed(room: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed")
    reconstruct(room, output)
    return _product(output)


@pytest.mark.parametrize("task", KILLED_IN, ids=[task.replace(" ", "-") for task in KILLED_IN])
def test_killed_run_goes_on(
    room: Path, tmp_path: Path, undisturbed: dict[str, bytes], task: str
) -> None:
    arguments = ["reconstruct", str(room), "-o", str(tmp_path), "--no-report"]
    killed = subprocess.run(
        [sys.executable, SUPPORT / "killed_run.py", task, "--", *arguments],
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = reconstruct(room, tmp_path)
    assert [stage.name for stage in again.report.stages if stage.cached] == KILLED_IN[task]
    assert _product(tmp_path) == undisturbed
    left_over = [path.name for path in tmp_path.rglob(".*")]
    assert left_over == []


def _product(output: Path) -> dict[str, bytes]:
    files = [output / "points.ply", *(output / "sparse" / "0").iterdir()]
    return {path.name: path.read_bytes() for path in files}
