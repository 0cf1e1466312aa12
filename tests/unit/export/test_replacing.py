"""Exports replace exports and nothing else, whole or not at all, and always with the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import foreign
import pytest

from vggt_sfm.errors import InputError, ReconstructionError
from vggt_sfm.export.words import ExportConfig, ExportWord
from vggt_sfm.pipelines.exporting import export, export_opened

WORDS: tuple[ExportWord, ...] = get_args(ExportWord)
SUPPORT = Path(__file__).resolve().parents[2] / "support"
FACTORS = ExportConfig(image_factors="2")


@pytest.mark.parametrize("word", WORDS)
def test_twice_and_elsewhere_give_the_same_bytes(tmp_path: Path, word: ExportWord) -> None:
    model = foreign.eventful(tmp_path / "ws")
    export_opened(model, [word], tmp_path / "a", FACTORS)
    first = foreign.content(tmp_path / "a")
    assert len(first) >= 2
    assert not [name for name in first if ".tmp" in name or ".old" in name or ".part" in name]
    export_opened(model, [word], tmp_path / "a", FACTORS)
    export_opened(foreign.eventful(tmp_path / "ws2"), [word, word], tmp_path / "b" / "c", FACTORS)
    assert foreign.content(tmp_path / "a") == first
    assert foreign.content(tmp_path / "b" / "c") == first


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    foreign.eventful(tmp_path / "ws")
    words = [word for word in WORDS if not word.startswith("depth")]
    export(tmp_path / "ws", words, tmp_path / "here")
    code = (
        "import sys; from vggt_sfm.pipelines.exporting import export\n"
        "export(sys.argv[1], sys.argv[3:], sys.argv[2])"
    )
    arguments = [str(tmp_path / "ws"), str(tmp_path / "there"), *words]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=120)
    assert foreign.content(tmp_path / "there") == foreign.content(tmp_path / "here")


def test_originals_are_only_read(tmp_path: Path) -> None:
    model = foreign.eventful(tmp_path / "ws")
    before = foreign.content(tmp_path / "ws")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "ws").rglob("*")}
    export_opened(model, WORDS, tmp_path / "out", FACTORS)
    assert foreign.content(tmp_path / "ws") == before
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "ws").rglob("*")} == times


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("nerfstudio", "images"),
        ("nerfstudio", "transforms.json"),
        ("instant-ngp", "masks"),
        ("colmap", "colmap"),
        ("gsplat", "gsplat"),
        ("glb", "scene.glb"),
        ("ply", "points.ply"),
        ("depth-npz", "depth"),
        ("kitti", "trajectory.kitti.images.txt"),
    ],
)
def test_what_users_have_there_is_never_replaced(
    tmp_path: Path, word: ExportWord, name: str
) -> None:
    model = foreign.eventful(tmp_path / "ws")
    mine = tmp_path / "out" / name
    if "." in name:
        mine.parent.mkdir()
        mine.write_text("mine")
    else:
        mine.mkdir(parents=True)
        (mine / "photo.jpg").write_text("mine")
    before = foreign.content(tmp_path / "out")
    with pytest.raises(InputError, match=f"{name} is there already.*-o"):
        export_opened(model, [word], tmp_path / "out")
    assert foreign.content(tmp_path / "out") == before


def test_a_failed_export_claims_nothing_that_users_make_later(tmp_path: Path) -> None:
    """A user who is told that photographs are missing puts them where they belong."""
    made = foreign.simple_workspace(tmp_path)
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="--images"):
        export(tmp_path, ["nerfstudio"], tmp_path)
    (tmp_path / "elsewhere").rename(tmp_path / "images")
    (tmp_path / "images" / "not in the model.png").write_bytes(b"precious")
    before = foreign.content(tmp_path / "images")
    with pytest.raises(InputError, match="images is there already"):
        export(tmp_path, ["nerfstudio"], tmp_path)
    assert foreign.content(tmp_path / "images") == before
    assert made.model.num_images() == 3


@pytest.mark.parametrize("word", ["nerfstudio", "gsplat", "colmap"])
def test_photographs_that_an_export_would_replace_are_kept(
    tmp_path: Path, word: ExportWord
) -> None:
    foreign.simple_workspace(tmp_path / "ws")
    export(tmp_path / "ws", [word], tmp_path / "out")
    below = tmp_path / "out" / ("" if word == "nerfstudio" else word)
    (below / "images" / "later.png").write_bytes(b"precious")
    before = foreign.content(tmp_path / "out")
    with pytest.raises(InputError, match="-o"):
        export(tmp_path / "ws", [word], tmp_path / "out", images=below / "images")
    assert foreign.content(tmp_path / "out") == before


def test_what_users_put_into_an_export_is_not_lost_with_it(tmp_path: Path) -> None:
    model = foreign.eventful(tmp_path / "ws")
    export_opened(model, ["colmap"], tmp_path / "out")
    (tmp_path / "out" / "colmap" / "database.db").write_text("hours of matching")
    before = foreign.content(tmp_path / "out")
    with pytest.raises(InputError, match=r"database\.db is not of an export.*-o"):
        export_opened(model, ["colmap"], tmp_path / "out")
    assert foreign.content(tmp_path / "out") == before
    (tmp_path / "out" / "colmap" / "database.db").unlink()
    export_opened(model, ["colmap"], tmp_path / "out")


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    model = foreign.eventful(tmp_path / "ws")
    export_opened(model, ["tum"], tmp_path / "out")
    for text in ("{", "[]", '{"schema": 1}', '{"made": 3}', '{"made": "tum"}'):
        (tmp_path / "out" / "export.json").write_text(text)
        with pytest.raises(InputError, match=r"export\.json is damaged"):
            export_opened(model, ["tum"], tmp_path / "out")


def test_an_output_that_is_a_file_is_no_traceback(tmp_path: Path) -> None:
    model = foreign.eventful(tmp_path / "ws")
    (tmp_path / "file").write_text("mine")
    with pytest.raises((InputError, ReconstructionError), match="file"):
        export_opened(model, ["tum"], tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
