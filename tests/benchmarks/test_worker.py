"""The process of a benchmark: it may die, and another one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from working import Calculator, cannot_be_made

from vggt_sfm.benchmarks.bench.worker import Worker, WorkFailed
from vggt_sfm.errors import InputError


def test_errors_and_deaths_end_one_piece_of_work(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Worker(Calculator, log) as worker:
        assert worker.call("divide", 6, 3) == 2
        with pytest.raises(WorkFailed, match="ZeroDivisionError: division by zero"):
            worker.call("divide", 6, 0)
        with pytest.raises(WorkFailed, match=r"^a.jpg: not an image$"):
            worker.call("refuse")
        assert worker.call("number_of_calls") == 2, "the same object all the time"
        with pytest.raises(WorkFailed, match=rf"died \(SIGKILL\); {log} may say why"):
            worker.call("die")
        assert worker.call("number_of_calls") == 0, "made again"
        with pytest.raises(WorkFailed, match=r"died \(exit code 3\)"):
            worker.call("leave")
        process = worker.call("process_id")
    assert "last words" in log.read_text()
    assert "ZeroDivisionError" in log.read_text()
    assert not _alive(process)


def test_what_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with Worker(Calculator, tmp_path / "log", timeout_s=0.5) as worker:
        assert worker.call("sleep", 0.01) == 0.01
        with pytest.raises(WorkFailed, match=r"took longer than 0.5 s"):
            worker.call("sleep", 60)
        assert worker.call("number_of_calls") == 0


def test_what_cannot_be_made_says_so(tmp_path: Path) -> None:
    with (
        Worker(cannot_be_made, tmp_path / "log") as worker,
        pytest.raises(InputError, match="no weights"),
    ):
        worker.call("process_id")


def test_the_process_ends_when_its_user_is_killed(tmp_path: Path) -> None:
    code = (
        "import time, pathlib\n"
        "from working import Calculator\n"
        "from vggt_sfm.benchmarks.bench.worker import Worker\n"
        "if __name__ == '__main__':\n"
        "    worker = Worker(Calculator, pathlib.Path('log'))\n"
        "    print(worker.call('process_id'), flush=True)\n"
        "    time.sleep(60)\n"
    )
    (tmp_path / "user.py").write_text(code)
    support = str(Path(__file__).parents[1] / "support")
    with subprocess.Popen(
        [sys.executable, "user.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": support},
        stdout=subprocess.PIPE,
        text=True,
    ) as user:
        assert user.stdout is not None
        process = int(user.stdout.readline())
        assert _alive(process)
        user.send_signal(signal.SIGKILL)
    end = time.monotonic() + 20
    while _alive(process) and time.monotonic() < end:
        time.sleep(0.1)
    assert not _alive(process)


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
