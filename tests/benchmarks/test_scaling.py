"""Power laws are found again, and predict for each size."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vggt_sfm.benchmarks.scaling import Point
from vggt_sfm.benchmarks.scaling_measures import step_flops
from vggt_sfm.benchmarks.scaling_report import PowerLaw, fit, report
from vggt_sfm.models.tiny.network import TinyBackbone, TinyConfig


def test_a_power_law_is_found_again() -> None:
    law = PowerLaw(scale=3.0, exponent=0.4)
    compute = np.geomspace(0.1, 50, 9)
    found = fit(compute, law.at(compute))
    assert found.exponent == pytest.approx(0.4)
    assert float(found.at(500.0)) == pytest.approx(float(law.at(500.0)))


def test_operations_grow_with_width() -> None:
    small = TinyConfig(stem=8, mid=8, coarse=16, deep=16, coarse_blocks=1, deep_blocks=1)
    wide = replace(small, stem=16, mid=16, coarse=32, deep=32)
    assert 1.3 < step_flops(TinyBackbone(wide)) / step_flops(TinyBackbone(small)) < 4


def test_the_report_predicts_ten_times_the_compute_of_each_size(tmp_path: Path) -> None:
    runs = [("small", n, 1.0 * n) for n in (1, 8, 16, 32)] + [("full", n, 4.0 * n) for n in (1, 2)]
    points = [
        Point(
            size=size,
            parameters=10**6,
            steps=n,
            flops=c * 1e12,
            loss=4 * c**-0.2 if n > 1 else 99.0,  # before anything is learned
            auc_30=100 - 50 * c**-0.1,
        )
        for size, n, c in runs
    ]
    text = report(points, tmp_path)
    predicted = re.findall(r"small: ([\d.]+) C\^-([\d.]+), at 320 TFLOP ([\d.]+)", text)
    for numbers, (scale, exponent) in zip(predicted, ((4, 0.2), (50, 0.1)), strict=True):
        expected = [scale, exponent, scale * 320**-exponent]
        np.testing.assert_allclose([float(n) for n in numbers], expected, rtol=5e-3)
    assert "full: " not in text  # too few runs
    for name in ("loss", "pose"):
        assert (tmp_path / f"scaling-{name}.svg").read_text().startswith("<svg")


def test_photographs_that_are_missing_are_told(tmp_path: Path) -> None:
    points = [
        Point(size="small", parameters=1, steps=n, flops=n * 1e12, loss=1.0, auc_30=float("nan"))
        for n in (1, 2)
    ]
    text = report(points, tmp_path)
    assert "held-out loss: too few runs to fit" in text
    assert "not measured, the photographs are missing" in text
