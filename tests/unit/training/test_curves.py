"""The log of a run and its curves."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from vggt_sfm.training.curves import LOG_NAME, Log, read_log, round_ticks


def test_steps_that_are_done_again_are_logged_once(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    for step in range(4):
        log.add({"step": step, "loss": 1.0})
    with (tmp_path / LOG_NAME).open("a") as stream:
        stream.write('{"step": 4, "lo')  # killed
    resumed = Log(tmp_path, 2)
    resumed.add({"step": 2, "loss": 3.0})
    assert read_log(tmp_path) == [{"step": n, "loss": loss} for n, loss in enumerate((1, 1, 3))]


def test_a_log_with_numbers_that_are_not_finite_can_be_gone_on_with(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    log.add({"step": 0, "loss": float("nan"), "gradient": float("inf")})
    Log(tmp_path, 1).add({"step": 1, "loss": 1.0, "gradient": 1.0})
    first, second = read_log(tmp_path)
    assert math.isnan(first["loss"])
    assert math.isnan(first["gradient"])
    assert second["loss"] == 1.0


def test_every_number_gets_a_curve(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    log.draw()  # of nothing
    for step in range(200):
        log.add({"step": step, "loss": -0.01 * step, "flat": 2.0, "never": float("inf")})
    log.draw()
    assert sorted(p.name for p in (tmp_path / "curves").iterdir()) == ["flat.svg", "loss.svg"]
    for path in (tmp_path / "curves").iterdir():
        ElementTree.parse(path)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-3.2, 4.1), (5.0, 5.0), (0.0, 0.0), (-1e-7, 2e-7), (3, 9999)]
)
def test_ticks_are_few_and_enclose_the_range(low: float, high: float) -> None:
    ticks = round_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8
