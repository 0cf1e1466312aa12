"""The parity command: what its tables say, and how it fails."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from vggt_sfm.benchmarks import parity
from vggt_sfm.benchmarks.goldens import Match
from vggt_sfm.benchmarks.precision import OutputError
from vggt_sfm.benchmarks.ways_to_run import OUTPUTS, PLAIN, STORED

GOOD = Match(case="A", name="depth.logits", difference=2e-6, tolerance=1e-4)


def plain_and_stored(*, within: bool) -> list[OutputError]:
    return [
        OutputError(way=way, output=o, rms=1e-7, worst=1e-6, factor=1.0, limit=limit, within=within)
        for way, limit in ((PLAIN, 1.0), (STORED, None))
        for o in OUTPUTS
    ]


def run(
    monkeypatch: pytest.MonkeyPatch,
    spec: Path,
    matches: list[Match],
    errors: list[OutputError],
    *options: str,
) -> tuple[int, str]:
    monkeypatch.setattr(parity, "golden_matches", lambda folder, device, full: matches)
    monkeypatch.setattr(parity, "precision_errors", lambda folder, device: errors)
    done = CliRunner().invoke(parity.main, ["--spec", str(spec), *options])
    return done.exit_code, done.output


def test_all_within_is_success(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    errors = plain_and_stored(within=True)
    code, text = run(monkeypatch, tmp_path, [GOOD], errors, "--json", str(figures))
    assert code == 0
    assert "| A | depth.* | 1 | depth.logits | 2.0e-06 | 1e-04 | 0.020 | pass |" in text
    assert "| vis | 1.0e-07 | 1.0e-06 | × 1, same bits |" in text
    assert "1 arrays and 16 errors, 0 beyond" in text
    found = json.loads(figures.read_text())
    assert found["goldens"][0]["ratio"] == pytest.approx(0.02)
    assert len(found["precision"]) == 16


@pytest.mark.parametrize(
    ("difference", "tolerance", "ratio"),
    [(2e-4, 1e-4, "2.000"), (math.nan, 1e-4, "inf"), (1.0, 0.0, "inf")],
)
def test_one_array_beyond_is_failure(
    difference: float,
    tolerance: float,
    ratio: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    bad = Match(case="A", name="depth.resize0", difference=difference, tolerance=tolerance)
    code, text = run(monkeypatch, tmp_path, [GOOD, bad, GOOD], plain_and_stored(within=True))
    assert code == 7
    assert f"| {ratio} | FAIL |" in text
    assert "beyond: A depth.resize0" in text


def test_one_way_beyond_is_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, text = run(monkeypatch, tmp_path, [GOOD], plain_and_stored(within=False))
    assert code == 7
    assert "× 1, other bits: FAIL" in text
    assert f"{STORED} vis" in text
