"""The synthetic acceptance test: what it measures, and that a missed bar is an error."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.spatial.transform import Rotation

from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.benchmarks import adjustment, basin
from vggt_sfm.benchmarks.disturbed import Errors
from vggt_sfm.benchmarks.synthetic import Setup, problem
from vggt_sfm.benchmarks.trials import Quality, Trial, aligned_rotation_deg, quality, run_trial
from vggt_sfm.errors import GateError

START = Quality(auc_5=90.0, auc_30=98.0, rotation_deg=0.3, focal_percent=1.0, k1=0.02)
END = Quality(auc_5=99.0, auc_30=99.8, rotation_deg=0.04, focal_percent=0.4, k1=0.004)


def trial(seed: int = 0, **changes: float) -> Trial:
    return Trial(
        seed=seed,
        before=START,
        after=replace(END, **changes),
        cpu_seconds=1.0,
        status="refined",
        images_refined=20,
        rounds=(),
    )


def test_quality_of_the_truth_and_of_what_is_known_to_be_wrong() -> None:
    found = problem(Setup(tracks=60, noise_px=0), Errors(gross_depth=0), seed=0)
    model = seed_reconstruction(found.scene, found.predictions, found.tracks, SeedConfig())
    best = quality(model, found)
    assert best.auc_5 > 99.99
    assert max(best.rotation_deg, best.focal_percent, best.k1) < 1e-6
    model.camera(1).params = [1.02 * found.focal_px, *model.camera(1).params[1:]]
    wrong = quality(model, replace(found, k1=0.03))
    assert wrong.focal_percent == pytest.approx(2)
    assert wrong.k1 == pytest.approx(0.03)
    model.deregister_frame(1)
    assert quality(model, found).auc_5 == pytest.approx(90, abs=0.1)  # 19 of 190 pairs lost


def test_the_rotation_error_forgives_another_world_and_nothing_else() -> None:
    poses = problem(Setup(cameras=5, tracks=2), Errors(), seed=0).cam_from_world
    turned = poses.copy()
    turned[:, :, :3] = turned[:, :, :3] @ Rotation.from_rotvec([0.3, 1.0, -2.0]).as_matrix()
    assert aligned_rotation_deg(turned, poses) < 1e-6
    around = Rotation.from_rotvec(np.radians([[0, 0, 2], [0, 0, -2], [0, 0, 2], [0, 0, -2]]))
    turned[:4, :, :3] = around.as_matrix() @ turned[:4, :, :3]
    assert 1 < aligned_rotation_deg(turned, poses) < 3
    turned[:] = np.nan
    assert aligned_rotation_deg(turned, poses) == 180


def test_a_trial_adjusts() -> None:
    setup = Setup(cameras=6, arc_deg=40, tracks=200)
    errors = Errors(rotation_deg=2, center=0.05, focal=0.05, depth=0.05)
    found = run_trial(problem(setup, errors, 0), 0, SeedConfig(), BundleConfig())
    assert found.status == "refined"
    assert found.before.auc_5 < 60
    assert found.after.auc_5 > 90
    assert found.gain == found.after.auc_5 - found.before.auc_5


@pytest.mark.parametrize(
    ("name", "changes", "missed"),
    [
        ("independent", {}, []),
        ("independent", {"rotation_deg": 0.06}, ["rotation error °"]),
        ("independent", {"focal_percent": 0.6, "k1": 0.006}, ["focal length error %", "k1 error"]),
        ("correlated", {"auc_5": 94.9}, ["exact AUC@5"]),
        ("few-tracks", {"auc_5": 89.0}, []),
        ("few-tracks", {"auc_5": 88.9}, ["gain of exact AUC@5"]),
        ("narrow", {"auc_5": 0.0}, []),
    ],
)
def test_a_missed_bar_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    changes: dict[str, float],
    missed: list[str],
) -> None:
    # Two of three seeds miss it: the median does.
    trials = [trial(0, **changes), trial(1), trial(2, **changes)]
    monkeypatch.setattr(adjustment, "run_case", lambda case, seeds: trials)
    arguments = ["--only", name, "-o", str(tmp_path)]
    done = CliRunner().invoke(adjustment.main, arguments)
    assert done.exit_code == (GateError.exit_code if missed else 0)
    assert done.output.count("| NO |") == len(missed)
    assert all(f"{name}: {bar}" in done.output.splitlines()[-1] for bar in missed)
    assert len(json.loads((tmp_path / f"{name}.json").read_text())) == 3


def test_cases_are_paired_by_seed() -> None:
    case = adjustment.Case(text="", setup=Setup(cameras=3, tracks=40), errors=Errors(focal=0.02))
    first, again = adjustment.run_case(case, 2), adjustment.run_case(case, 1)
    assert first[0].before == again[0].before
    assert first[0].after == again[0].after
    assert first[0].after != first[1].after


@pytest.mark.parametrize("seed", [2, 9])
def test_a_good_prediction_of_a_narrow_arc_is_not_turned_inside_out(seed: int) -> None:
    # wide losses led these two into a mirrored world, which fits the tracks nearly as well
    case = adjustment.CASES["narrow"]
    found = problem(case.setup, case.errors, seed)
    after = run_trial(found, seed, case.seeding, BundleConfig())
    assert after.after.auc_5 > after.before.auc_5 - 2


def test_the_basin_is_a_table_figures_and_a_drawing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = {2: 98.0, 60: 31.0}
    monkeypatch.setattr(basin, "DEGREES", tuple(after))
    monkeypatch.setattr(
        basin,
        "run_trial",
        lambda found, seed, *configs: trial(seed, auc_5=after[round(found)] - seed),
    )
    monkeypatch.setattr(basin, "problem", lambda setup, errors, seed: errors.rotation_deg)
    done = CliRunner().invoke(adjustment.main, ["--seeds", "3", "--basin", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "| correlated | 60 | 90.0 (90.0) | 30.0 (29.0) |" in done.output
    rows = json.loads((tmp_path / "basin.json").read_text())
    assert [row["after"]["worst"] for row in rows] == [96.0, 29.0, 96.0, 29.0]
    drawing = ElementTree.parse(tmp_path / "basin.svg").getroot()
    texts = ["".join(text.itertext()) for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "rotation error of the prediction, degrees" in texts
    assert "exact AUC@5 after adjustment, %" in texts
    told = drawing.findtext("{http://www.w3.org/2000/svg}desc") or ""
    assert "independent errors, worst of 3 seeds: 96 at 2°, 29 at 60°" in told
    assert "prefers-color-scheme: dark" in (tmp_path / "basin.svg").read_text()
