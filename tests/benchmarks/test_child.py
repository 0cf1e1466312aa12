"""A process of its own, measured."""

from __future__ import annotations

from vggt_sfm.benchmarks import child


def test_a_child_is_measured() -> None:
    done = child.run("-c", "x = bytearray(300_000_000); print(len(x)); raise SystemExit(3)")
    assert done.exit_code == 3
    assert done.output == "300000000\n"
    assert done.peak > 300e6


def test_cpu_seconds_count_work_and_not_sleep() -> None:
    code = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    worked = child.run("-c", code)
    slept = child.run("-c", "import time; time.sleep(0.3)")
    assert 0.3 <= worked.cpu_seconds < 0.3 + slept.cpu_seconds + 0.3
    assert slept.cpu_seconds < 0.25
    assert slept.seconds >= 0.3


def test_a_child_gets_its_environment() -> None:
    code = "import os; print(os.environ['VGGT_SFM_TEST'], 'PATH' in os.environ)"
    assert child.run("-c", code, environment={"VGGT_SFM_TEST": "1"}).output == "1 True\n"
