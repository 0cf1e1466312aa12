"""``reconstruct --from-npz``."""

from __future__ import annotations

import json
from pathlib import Path

import brought
import photos
import pytest
from click.testing import CliRunner, Result

from vggt_sfm.cli.main import main


def _call(*words: object) -> Result:
    return CliRunner().invoke(main, ["reconstruct", *map(str, words)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs in ``images``, and ``theirs.npz``."""
    folder = tmp_path_factory.mktemp("brought")
    views = photos.views(3)
    photos.write_photos(folder / "images", views)
    brought.save(folder / "theirs.npz", brought.predicted(views))
    return folder


def test_images_may_be_an_option(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VGGT_SFM_WEIGHTS", str(tmp_path / "nowhere.pt"))  # not asked for
    words = ("--from-npz", folder / "theirs.npz", "-o", tmp_path / "out", "--no-ba", "--no-report")
    called = _call(*words, "--images", folder / "images", "--json")
    assert called.exit_code == 0, called.output
    assert json.loads(called.stdout)["images"] == 3
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["config"]["from_npz"] == str(folder / "theirs.npz")
    again = _call(
        "--config", tmp_path / "out" / "run.json", folder / "images", "-o", tmp_path / "o"
    )
    assert again.exit_code == 0, again.output


def test_images_must_be_somewhere(folder: Path) -> None:
    called = _call("--from-npz", folder / "theirs.npz")
    assert called.exit_code == 2
    assert "Missing argument" in called.stderr
    assert "IMAGES..." in called.stderr


def test_a_model_beside_a_file_is_wrong_usage(folder: Path) -> None:
    words = ("--from-npz", folder / "theirs.npz", "--model", "vggt-1b", folder / "images")
    called = _call(*words)
    assert called.exit_code == 2
    assert "leave out model" in called.stderr


def test_wrong_file_is_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.npz").write_text("names")
    called = _call("--from-npz", tmp_path / "theirs.npz", folder / "images", "-o", tmp_path / "out")
    assert called.exit_code == 3
    assert "error: " in called.stderr
    assert "no npz file that can be read" in called.stderr
