"""The comparison of cost: what is compared with what, on runs that never ran."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from vggt_sfm.benchmarks import cost, cost_runs
from vggt_sfm.benchmarks.cost_runs import DEFAULTS, OURS, SAME, Cost
from vggt_sfm.errors import GateError
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.features import LOOKING_CLOSER, closer_look, usual_look

AUC = {"1": 60.0, "3": 80.0, "5": 90.0, "30": 99.0}


def runs(
    *, whole: float = 4.0, track: float = 1.2, auc: dict[str, float] | None = None
) -> list[Cost]:
    """One round on fountain-P11 that meets every bar, unless changed."""
    ours = {"predict": 1.0, "track": track, "extract": 1.0, "adjust": 0.5}
    theirs = {"extract": 5.0, "match": 0.5, "map": 0.5}
    return [
        Cost(
            program=OURS,
            cpu_seconds=whole,
            steps=ours,
            tasks={"features": 1.0},
            auc=auc or AUC,
            registered=11,
        ),
        Cost(program=DEFAULTS, cpu_seconds=11.0, steps=theirs, auc=AUC, registered=11),
        Cost(program=SAME, cpu_seconds=5.0, steps=theirs, auc=AUC, registered=11),
    ]


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        (runs(), 0),
        (runs(whole=4.5), 1),  # more than 11 / 2.5
        (runs(track=1.4), 1),  # 0.4 + 0.5 is more than 0.8 of 1.0
        (runs(auc={**AUC, "5": 89.4}), 2),
    ],
)
def test_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: list[Cost], missed: int
) -> None:
    monkeypatch.setattr(cost, "run_scene", lambda data, scene, output, repeat: found)
    arguments = ["--data", str(tmp_path), "-o", str(tmp_path), "fountain-P11"]
    done = CliRunner().invoke(cost.main, arguments)
    assert done.exit_code == (GateError.exit_code if missed else 0)
    assert done.output.count("| NO |") == missed
    assert "| fountain-P11 | features 1.0 |" in done.output
    assert len((tmp_path / "cost.jsonl").read_text().splitlines()) == 3


def test_ratios_pair_runs_that_ran_beside_each_other() -> None:
    slow = [
        Cost(program=program, cpu_seconds=seconds, steps={}, auc=None, registered=0)
        for program, seconds in ((OURS, 100.0), (DEFAULTS, 200.0), (SAME, 1.0))
    ]
    costs = [*runs(), *slow, *runs()]
    assert cost.ratio(costs, DEFAULTS, lambda c: c.cpu_seconds) == pytest.approx(4 / 11)


@pytest.mark.parametrize("again", [False, True])
def test_pycolmap_sees_the_photographs_as_we_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    stages = {"track": 2.0, "adjust": 1.0}
    log = [f"sift: {LOOKING_CLOSER}"] if again else []
    told = {"stages": stages, "tasks": {"features": 0.5}, "line": "done", "log": log}
    poses = {str(s): np.eye(3, 4) for s in range(30)}
    monkeypatch.setattr(cost_runs, "_child", lambda module, *rest: (told, 5.0))
    monkeypatch.setattr(cost_runs, "read_sparse", lambda folder: None)
    monkeypatch.setattr(cost_runs, "poses_by_name", lambda model: poses)
    monkeypatch.setattr(cost_runs, "_scored", lambda *rest: {"auc": None, "registered": 30})
    found, look = cost_runs.run_ours(tmp_path, tmp_path / "out", None)
    assert look == (closer_look(TrackConfig()) if again else usual_look(TrackConfig(), 30))
    assert (found.steps["extract"], found.steps["rest"], found.after_features) == (0.5, 2, 2.5)
    options = cost_runs.with_our_features(look, 640, shared_camera=True)
    assert (options.max_image_size, options.first_octave) == (640 if again else 320, -1)
    assert options.max_features == look.max_features
    assert options.peak_threshold == look.peak_threshold
