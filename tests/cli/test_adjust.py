"""``vggt-sfm adjust``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from adjusting import seeded
from click.testing import CliRunner, Result
from synthetic import disturbed, synthetic_scene

from vggt_sfm.cli.main import main


def _call(*words: object) -> Result:
    return CliRunner().invoke(main, ["adjust", *map(str, words)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in ``sparse/0``; not to be changed."""
    folder = tmp_path_factory.mktemp("theirs")
    data = synthetic_scene(num_frames=5, num_points=120, pixel_noise=0.3, arc_deg=60)
    (folder / "sparse/0").mkdir(parents=True)
    seeded(disturbed(data, rotation_deg=1, center=0.05)).write_binary(folder / "sparse/0")
    return folder


def test_outcome_is_told_to_people_and_to_programs(folder: Path, tmp_path: Path) -> None:
    called = _call(folder, "-o", tmp_path / "out", "--json")
    assert called.exit_code == 0, called.output
    told = json.loads(called.stdout)
    assert (told["ok"], told["status"], told["images_refined"]) == (True, "refined", 5)
    assert told["mean_reprojection_error_before_px"] > told["mean_reprojection_error_px"]
    assert Path(told["sparse"]) == tmp_path / "out/sparse/0"
    assert json.loads(Path(told["report"]).read_text())["bundle"]["status"] == "refined"
    assert "refined: 5 of 5 images, mean reprojection error" in called.stderr
    assert "px before" in called.stderr
    worst = [line for line in called.stderr.splitlines() if ".png: refined, " in line]
    assert len(worst) == 5
    assert told["verdict_words"] in called.stderr


def test_options_are_those_of_the_adjustment(folder: Path, tmp_path: Path) -> None:
    words = (folder, "-o", tmp_path / "out", "--no-refine-focal", "--max-error-px", "3")
    assert _call(*words).exit_code == 0
    config = json.loads((tmp_path / "out/adjust.json").read_text())["config"]
    assert (config["refine_focal"], config["max_error_px"]) == (False, 3.0)
    called = _call(folder, "--max-error-px", "-3")
    assert called.exit_code == 2
    assert "must be positive" in called.stderr


def test_rejected_is_a_result_unless_strict(folder: Path, tmp_path: Path) -> None:
    words = (folder, "-o", tmp_path / "out", "--min-observations", "100000")
    called = _call(*words)
    assert called.exit_code == 0
    assert "the model is written as it was" in called.stderr
    strict = _call(*words, "--strict")
    assert strict.exit_code == 5
    assert "error: --strict: " in strict.stderr


def test_no_model_is_one_line(tmp_path: Path) -> None:
    called = _call(tmp_path, "--json")
    assert called.exit_code == 3
    assert json.loads(called.stdout)["error"] == "InputError"
    assert "Traceback" not in called.stderr
