"""Models of whatever origin: where they lie, what they lack, and what the command line says."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import foreign
import numpy as np
import pycolmap
import pytest
import readers
import readers_gsplat
import readers_other
from click.testing import CliRunner
from PIL import Image

from vggt_sfm.cli.main import main
from vggt_sfm.errors import InputError
from vggt_sfm.export.words import ExportWord
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.pipelines.exporting import export, export_opened
from vggt_sfm.pipelines.opened import open_model

WORDS: tuple[ExportWord, ...] = get_args(ExportWord)
PHOTO_WORDS: list[ExportWord] = ["colmap", "nerfstudio", "gsplat", "instant-ngp"]
NO_PHOTO_WORDS: list[ExportWord] = ["colmap-text", "glb", "ply", "tum", "kitti"]


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    stdout: str
    stderr: str


def cli(*words: object) -> Outcome:
    result = CliRunner().invoke(main, ["export", *map(str, words)])
    return Outcome(result.exit_code, result.stdout, result.stderr)


def refused(code: int, *words: object) -> str:
    """Run, expect one line and an exit code; return the line."""
    outcome = cli(*words)
    assert outcome.exit_code == code, outcome.stderr
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    return outcome.stderr


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
@pytest.mark.parametrize(
    ("sparse", "given"),
    [
        ("sparse/0", "."),
        ("sparse", "."),
        ("sparse/0", "sparse/0"),
        ("sparse", "sparse"),
        ("", ""),
    ],
)
def test_every_usual_layout(tmp_path: Path, text: bool, sparse: str, given: str) -> None:
    made = foreign.made_model(
        ["a.png", "b.png"], [foreign.camera("PINHOLE")], foreign.poses(2), grid=(4, 3)
    )
    (tmp_path / "ws").mkdir()
    foreign.write_workspace(tmp_path / "ws", made, text=text, sparse=sparse)
    folder = tmp_path / "ws" / given
    outcome = cli(folder, "--to", "gsplat", "--to", "nerfstudio", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    told = json.loads(outcome.stdout)
    out = (folder / "vggt-sfm-export").absolute()
    assert told == {
        "ok": True,
        "schema": 1,
        "exports": {"gsplat": str(out / "gsplat"), "nerfstudio": str(out / "transforms.json")},
    }
    assert f"next: ns-train splatfacto --data {out}" in outcome.stderr
    views, _ = readers_gsplat.read_gsplat(out / "gsplat")
    assert [view.name for view in views] == ["a.png", "b.png"]
    assert len(readers.read_transforms(out).frames) == 2


def test_photographs_elsewhere_and_another_output(tmp_path: Path) -> None:
    foreign.simple_workspace(tmp_path / "ws")
    (tmp_path / "ws" / "images").rename(tmp_path / "my photos")
    words = (tmp_path / "ws", "--to", "gsplat", "-o", tmp_path / "out")
    line = refused(3, *words)
    assert "the model has 3 images, the first one a.png" in line
    assert "--images" in line
    assert refused(3, *words, "--images", tmp_path / "gone").count("no such folder") == 1
    assert cli(*words, "--images", tmp_path / "my photos").exit_code == 0
    assert len(readers_gsplat.read_gsplat(tmp_path / "out" / "gsplat")[0]) == 3
    assert not (tmp_path / "ws" / "vggt-sfm-export").exists()


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "other size"])
def test_lacking_photographs_are_left_out_and_the_rest_is_consistent(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = foreign.simple_workspace(tmp_path)
    photo = tmp_path / "images" / "b.png"
    match damage:
        case "missing":
            photo.unlink()
        case "empty":
            photo.write_bytes(b"")
        case "garbage":
            photo.write_bytes(b"this is no photograph")
        case _:
            foreign.save_noise(photo, (64, 48))
    export(tmp_path, PHOTO_WORDS)
    assert "1 of 3 photographs are left out" in caplog.text
    assert "b.png" in caplog.text
    out = tmp_path / "vggt-sfm-export"
    views, points = readers_gsplat.read_gsplat(out / "gsplat")
    assert [view.name for view in views] == ["a.png", "c.png"]
    model = pycolmap.Reconstruction(out / "gsplat" / "sparse" / "0")
    assert {e.image_id for p in model.points3D.values() for e in p.track.elements} == {1, 3}
    assert len(points) == 24
    for name in ("a.png", "c.png"):
        found = next(view for view in views if view.name == name).project(made.xyz_of[name])
        assert np.abs(found - foreign.projected(made.model, name, made.xyz_of[name])).max() < 1e-6
    assert sorted(readers.read_transforms(out).frames) == ["images/a.png", "images/c.png"]
    assert readers_gsplat.relative_files(out / "colmap" / "images") == ["a.png", "c.png"]


@pytest.mark.parametrize("word", PHOTO_WORDS)
def test_no_photographs_at_all_write_nothing(tmp_path: Path, word: ExportWord) -> None:
    foreign.simple_workspace(tmp_path)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(InputError, match=r"first one a\.png.*--images"):
        export(tmp_path, [word], tmp_path / "out")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
    export(tmp_path, NO_PHOTO_WORDS, tmp_path / "out")


def test_a_mask_that_is_gone_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    foreign.simple_workspace(tmp_path)
    opened = open_model(tmp_path)
    frames = dict(opened.frames)
    frames["b.png"] = replace(frames["b.png"], mask_path=str(tmp_path / "gone.png"))
    for word in PHOTO_WORDS:
        with pytest.raises(InputError, match=r"gone\.png"):
            export_opened(replace(opened, frames=frames), [word], tmp_path / "out")
        assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_model_without_points(tmp_path: Path) -> None:
    made = foreign.made_model(
        ["a.png", "b.png"], [foreign.camera("OPENCV")], foreign.poses(2), grid=(0, 0)
    )
    foreign.write_workspace(tmp_path, made)
    export(tmp_path, [*PHOTO_WORDS, *NO_PHOTO_WORDS])
    out = tmp_path / "vggt-sfm-export"
    assert len(readers.read_transforms(out).xyz) == 0
    assert len(readers.read_ply(out / "points.ply")[0]) == 0
    assert readers_gsplat.read_gsplat(out / "gsplat")[1] == {}
    points, lines = readers_other.read_glb(out / "scene.glb")
    assert (len(points), len(lines)) == (0, 16)
    cameras, _, _ = readers.ngp_positions(readers.read_transforms(out))
    assert ((cameras > 0) & (cameras < 1)).all()


def test_a_model_without_images(tmp_path: Path) -> None:
    pycolmap.Reconstruction().write_binary(tmp_path)
    for word in PHOTO_WORDS:
        with pytest.raises(InputError, match="0 images"):
            export(tmp_path, [word])
    with pytest.raises(InputError, match="neither points nor images"):
        export(tmp_path, ["glb"])
    export(tmp_path, [word for word in NO_PHOTO_WORDS if word != "glb"])
    out = tmp_path / "vggt-sfm-export"
    assert len(readers_other.read_kitti(out / "trajectory.kitti.txt")) == 0
    assert len(readers_other.read_tum(out / "trajectory.tum.txt")[0]) == 0


def test_images_without_a_pose_are_left_out(tmp_path: Path) -> None:
    made = foreign.simple_workspace(tmp_path)
    frames = open_model(tmp_path).frames
    lost = pycolmap.Image(name="lost.png", keypoints=np.zeros((2, 2)), camera_id=1, image_id=9)
    made.model.add_image_with_trivial_frame(lost)
    foreign.save_noise(tmp_path / "images" / "lost.png", foreign.SIZE)
    with_lost = {**frames, "lost.png": replace(frames["a.png"], name="lost.png")}
    opened = OpenedModel(model=made.model, frames=with_lost)
    export_opened(opened, [*PHOTO_WORDS, *NO_PHOTO_WORDS], tmp_path / "out")
    kept = ["a.png", "b.png", "c.png"]
    assert [v.name for v in readers_gsplat.read_gsplat(tmp_path / "out" / "gsplat")[0]] == kept
    assert [v.name for v in open_model(tmp_path / "out" / "colmap").images()] == kept
    assert readers_gsplat.relative_files(tmp_path / "out" / "images") == kept
    assert len(readers.read_transforms(tmp_path / "out").frames) == 3
    assert len(readers_other.read_tum(tmp_path / "out" / "trajectory.tum.txt")[0]) == 3


@pytest.mark.parametrize(("word", "module"), [("glb", "trimesh"), ("depth-exr", "OpenEXR")])
def test_a_missing_package_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, module: str
) -> None:
    foreign.simple_workspace(tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *_: None if name == module else found(name)
    )
    line = refused(6, tmp_path, "--to", "colmap", "--to", word)
    assert "pip install 'vggt-sfm[export]'" in line
    assert not (tmp_path / "vggt-sfm-export").exists()


@pytest.mark.parametrize("factors", ["1", "0", "2,x", "2.5", "-2", "2,,4", "2,1", ","])
def test_wrong_factors_are_a_usage_error(tmp_path: Path, factors: str) -> None:
    foreign.simple_workspace(tmp_path)
    assert "above 1" in refused(2, tmp_path, "--to", "gsplat", "--image-factors", factors)
    assert not (tmp_path / "vggt-sfm-export").exists()


def test_wrong_words_and_folders(tmp_path: Path) -> None:
    assert "--to" in refused(2, tmp_path)
    assert "gltf" in refused(2, tmp_path, "--to", "gltf")
    assert "no COLMAP model there" in refused(3, tmp_path, "--to", "ply")
    assert "no such folder" in refused(3, tmp_path / "gone", "--to", "ply")
    (tmp_path / "images.bin").write_bytes(b"garbage")
    assert "no readable COLMAP model" in refused(3, tmp_path, "--to", "ply")


def test_masks_of_another_program_are_carried_on(tmp_path: Path) -> None:
    foreign.simple_workspace(tmp_path / "ws")
    with Image.open(tmp_path / "ws" / "images" / "b.png") as image:
        black = np.full(image.size[::-1], 255, np.uint8)
    black[:10] = 0
    (tmp_path / "masks").mkdir()
    Image.fromarray(black).save(tmp_path / "masks" / "b.png.png")
    words = ("--to", "nerfstudio", "--to", "gsplat", "--masks", tmp_path / "masks")
    assert cli(tmp_path / "ws", *words, "-o", tmp_path / "out").exit_code == 0
    with Image.open(tmp_path / "out" / "masks" / "b.png.png") as mask:
        assert np.array_equal(np.asarray(mask), black)
    with Image.open(tmp_path / "out" / "masks" / "a.png.png") as mask:
        assert np.asarray(mask).min() == 255  # readers want all or none
    transforms = json.loads((tmp_path / "out" / "transforms.json").read_text())
    assert all("mask_path" in frame for frame in transforms["frames"])
    assert (tmp_path / "out" / "gsplat" / "masks" / "b.png.png").is_file()
    (tmp_path / "none").mkdir()
    told = refused(3, tmp_path / "ws", "--to", "gsplat", "--masks", tmp_path / "none")
    assert "no mask for any of 3 images" in told
