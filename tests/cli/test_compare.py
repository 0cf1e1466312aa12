"""``vggt-sfm compare`` as people and programs call it."""

from __future__ import annotations

import json
from pathlib import Path

import foreign
import pycolmap
import pytest
from click.testing import CliRunner, Result

from vggt_sfm.cli.main import main

NAMES = [f"{n}.png" for n in range(12)]


def _write(folder: Path, count: int, turned: bool = False) -> Path:
    placed = foreign.poses(12)[:count]
    if turned:
        turn = pycolmap.Rigid3d(pycolmap.Rotation3d([0, 0.1, 0]), [0, 0, 0])
        placed[0] = turn * placed[0]
    folder.mkdir()
    lens = foreign.camera("PINHOLE")
    foreign.made_model(NAMES[:count], [lens], placed, (0, 0)).model.write(folder)
    return folder


@pytest.fixture(scope="module")
def a(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven images, the first of which is turned by 0.1 rad; not to be changed."""
    return _write(tmp_path_factory.mktemp("models") / "a", 11, turned=True)


@pytest.fixture(scope="module")
def b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images; not to be changed."""
    return _write(tmp_path_factory.mktemp("models") / "b", 12)


def _compare(*words: object) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, words)])


def test_page_says_what_is_compared_and_which_image_is_worst(a: Path, b: Path) -> None:
    result = _compare(a, b)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["A", str(a), "images:", "11", "cameras:", "1"]
    told = {line[:39].strip(): line[39:].strip() for line in lines}
    assert told["images in common, of the reference's"] == "11 of 12"
    assert told["pairs that failed for missing ones"] == "11 of 66"
    assert told["rotation worst, deg"] == "5.73"
    # Of 66 pairs, 45 are exact and 10 are turned by 5.73 degrees
    area = (5.73 * 45.5 / 66 + 24.27 * 55 / 66) / 30
    assert float(told["pose AUC @30, exact, %"]) == pytest.approx(100 * area, abs=0.01)
    assert "A against B: 1 images only in B: 11.png" in lines
    start = lines.index("images of A against B, worst first")
    assert lines[start + 2].split()[0] == "5.73"
    assert lines[start + 2].split()[-1] == "0.png"
    assert lines[start + 12] == "  … and 1 more"


def test_truth_gives_columns_side_by_side(a: Path, b: Path) -> None:
    result = _compare(a, b, "--gt", b)
    head = next(line for line in result.stdout.splitlines() if "against" in line)
    assert head.split("  ")[-3:] == ["A against G", "B against G", "A against B"]
    worst = next(line for line in result.stdout.splitlines() if "rotation worst" in line)
    assert [float(each) > 1 for each in worst.split()[-3:]] == [True, False, True]


def test_json_is_one_object_and_also_a_file(a: Path, b: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "figures.json"
    result = _compare(a, b, "--json", "-o", path)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told.pop("ok") is True
    assert told == json.loads(path.read_text())
    assert (told["schema"], told["missed"]) == (1, [])
    (found,) = told["comparisons"]
    assert found["images"][0]["name"] == "0.png"
    assert found["only_reference"] == ["11.png"]
    assert found["reference"] == {"letter": "B", "path": str(b), "images": 12, "cameras": 1}
    assert [each.name for each in path.parent.iterdir()] == ["figures.json"]


def test_missed_gate_is_exit_code_7_and_the_file_is_written(
    a: Path, b: Path, tmp_path: Path
) -> None:
    path = tmp_path / "figures.json"
    gates = ("--min-auc", 5, 50, "--min-auc", 30, 90, "--max-rotation-deg", 5, "--max-ate", 1)
    result = _compare(a, b, *gates, "-o", path, "--json")
    assert result.exit_code == 7
    told = json.loads(result.stdout)
    assert (told["ok"], told["error"]) == (False, "GateError")
    line = "--min-auc 30 90: it is 80.58; --max-rotation-deg 5: it is 5.72958"
    assert told["message"] == line
    assert result.stderr.splitlines()[-1] == f"error: {line}"
    assert json.loads(path.read_text())["missed"] == line.split("; ")
    assert _compare(b, b, *gates).exit_code == 0
    # The gates are of A against the truth, where there is one
    assert _compare(a, b, "--gt", a, *gates).exit_code == 0


def test_only_an_earlier_comparison_is_replaced(a: Path, b: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert _compare(a, b, "-o", path).exit_code == 0
    before = path.read_bytes()
    assert _compare(b, b, "-o", path).exit_code == 0
    assert path.read_bytes() != before
    for content in ("{}", "[", '["comparisons"]'):
        path.write_text(content)
        result = _compare(a, b, "-o", path)
        assert result.exit_code == 3
        assert "is there already, and is no comparison" in result.stderr
        assert path.read_text() == content
    assert _compare(a, b, "-o", tmp_path).exit_code == 3
    path.write_text("")
    assert _compare(a, b, "-o", path / "below.json").exit_code == 5


def test_wrong_input_is_one_line(a: Path, tmp_path: Path) -> None:
    for other, line in ((tmp_path / "gone", "no such folder or file"), (tmp_path, "no COLMAP")):
        result = _compare(a, other)
        assert result.exit_code == 3
        assert line in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert _compare(a).exit_code == 2
    assert _compare(a, a, "--min-auc", 7, 50).exit_code == 2
