"""Power laws are found again, and only improvements are fitted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vggt_sfm.benchmarks.scaling import Point
from vggt_sfm.benchmarks.scaling_measures import step_flops
from vggt_sfm.benchmarks.scaling_report import PowerLaw, best_so_far, fit, report
from vggt_sfm.models.tiny.network import TinyBackbone, TinyConfig


def test_a_power_law_is_found_again() -> None:
    law = PowerLaw(floor=1.5, scale=3.0, exponent=0.4)
    compute = np.geomspace(0.1, 50, 9)
    found = fit(compute, law.at(compute))
    assert found.floor == pytest.approx(1.5, rel=0.02)
    assert found.exponent == pytest.approx(0.4, rel=0.02)
    assert float(found.at(500.0)) == pytest.approx(float(law.at(500.0)), rel=0.01)


def test_three_points_give_a_line_in_logarithms() -> None:
    law = fit(np.array([1.0, 10, 100]), np.array([8.0, 4, 2]))
    assert law.floor == 0
    assert float(law.at(1000.0)) == pytest.approx(1.0)


def test_only_what_no_cheaper_run_reached_is_fitted() -> None:
    compute = np.array([4.0, 1, 2, 3, 5])
    loss = np.array([2.0, 5, 6, 4, 2.5])
    assert best_so_far(compute, loss).tolist() == [1, 3, 0]


def test_operations_grow_with_width() -> None:
    small = TinyConfig(stem=8, mid=8, coarse=16, deep=16, coarse_blocks=1, deep_blocks=1)
    wide = replace(small, stem=16, mid=16, coarse=32, deep=32)
    assert 1.3 < step_flops(TinyBackbone(wide)) / step_flops(TinyBackbone(small)) < 4


def test_the_report_predicts_ten_times_the_compute(tmp_path: Path) -> None:
    points = [
        Point(size=size, parameters=10**6, steps=n, flops=c * 1e15, loss=4 * c**-0.2, auc_30=50.0)
        for size, n, c in (("small", 1, 1.0), ("small", 2, 2.0), ("full", 1, 4.0), ("full", 2, 8.0))
    ]
    text = report(points, tmp_path)
    predicted = re.search(r"predicted at 80000 TFLOP ([\d.]+)", text)
    assert predicted
    assert float(predicted[1]) == pytest.approx(4 * 80**-0.2, rel=0.1)
    low, high = map(float, re.findall(r"\(([\d.]+) to ([\d.]+) where", text)[0])
    assert low < float(predicted[1]) * 1.05
    assert high > float(predicted[1]) * 0.95
    assert "too few improvements" in text
    assert (tmp_path / "scaling-loss.svg").read_text().startswith("<svg")
