"""``vggt-sfm register`` as people and programs call it."""

from __future__ import annotations

import json
from pathlib import Path

import foreign
import pytest
import registering
from click.testing import CliRunner, Result
from registering import Workspace, name

from vggt_sfm.cli.main import main


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A model of five photographs, and two more; not to be changed."""
    return registering.make_workspace(tmp_path_factory.mktemp("register"))


def _register(*words: object) -> Result:
    return CliRunner().invoke(main, ["register", *map(str, words)])


def test_json_names_what_was_found_and_what_was_not(workspace: Workspace, tmp_path: Path) -> None:
    foreign.save_noise(tmp_path / "noise.png", (320, 240))
    (tmp_path / "broken.png").write_bytes(b"no image")
    files = [workspace.new / name(2), tmp_path / "noise.png", tmp_path / "broken.png"]
    result = _register(workspace.folder, *files, "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["ok"] is True
    (found,) = told["registered"]
    assert found.endswith(name(2))
    ((missed, reason),) = told["not_registered"].items()
    assert missed.endswith("noise.png")
    assert reason.startswith("too few matches")
    ((skipped, reason),) = told["skipped"].items()
    assert skipped.endswith("broken.png")
    assert "not an image" in reason
    assert told["adjustment"] is None
    assert (Path(told["sparse"]) / "images.bin").is_file()
    assert Path(told["report"]) == tmp_path / "out/register.json"
    assert "not registered" in result.stderr


def test_none_found_is_exit_code_5(workspace: Workspace, tmp_path: Path) -> None:
    foreign.save_noise(tmp_path / "noise.png", (320, 240))
    result = _register(workspace.folder, tmp_path / "noise.png", "-o", tmp_path / "out", "--json")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["error"] == "ReconstructionError"
    assert (tmp_path / "out/register.json").is_file()


def test_wrong_model_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    result = _register(tmp_path, tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error: {tmp_path}")
    assert result.stderr.count("\n") == 1


def test_wrong_option_is_exit_code_2(tmp_path: Path) -> None:
    result = _register(tmp_path, tmp_path, "--min-inliers", 3)
    assert result.exit_code == 2
    assert "min_inliers must be >= 6" in result.stderr
