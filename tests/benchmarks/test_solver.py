"""Our solve beside pycolmap's adjuster: the same problem, and a bar that can be missed."""

from __future__ import annotations

from dataclasses import replace

import pyceres
import pytest
from click.testing import CliRunner

from vggt_sfm.benchmarks import solver
from vggt_sfm.benchmarks.solver import Timing
from vggt_sfm.errors import GateError


def test_both_sides_solve_the_same_problem() -> None:
    plain = pyceres.solve
    bundle = solver.start_of(4)
    mine, other = solver.ours(bundle), solver.theirs(bundle)
    assert mine.cost == pytest.approx(other.cost, rel=1e-9)
    assert 0 < mine.solve < mine.whole == mine.from_model
    assert 0 < other.solve < other.from_model < other.whole
    assert pyceres.solve is plain


def test_other_costs_are_no_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    timing = Timing(whole=1.0, from_model=1.0, solve=1.0, cost=100.0)
    monkeypatch.setattr(solver, "start_of", lambda images: None)
    monkeypatch.setattr(solver, "ours", lambda bundle: timing)
    monkeypatch.setattr(solver, "theirs", lambda bundle: replace(timing, cost=100.01))
    with pytest.raises(GateError, match=r"cost 100 here, 100.01 in pycolmap"):
        solver.measure(50, 1)


@pytest.mark.parametrize(("seconds", "exit_code"), [(1.05, 0), (1.06, GateError.exit_code)])
def test_a_slower_solve_fails_the_gate(
    monkeypatch: pytest.MonkeyPatch, seconds: float, exit_code: int
) -> None:
    other = Timing(whole=1.0, from_model=0.5, solve=0.4, cost=7.0)
    mine = Timing(whole=seconds, from_model=seconds, solve=0.4, cost=7.0)
    monkeypatch.setattr(solver, "measure", lambda images, repeat: (mine, other))
    done = CliRunner().invoke(solver.main, ["--images", "10"])
    assert done.exit_code == exit_code
    assert f"| 10 | 7 | {seconds:.3f} | 1.000 | {seconds:.3f} | 1.000 |" in done.output
