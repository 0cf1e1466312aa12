"""What people really put into a folder: a result or one line, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import photos
import pycolmap
import pytest
from PIL import Image

Call = Callable[..., Any]  # Any: the Outcome of conftest.py, which tests cannot import


def _succeed(call: Call, *words: object) -> tuple[pycolmap.Reconstruction, dict[str, Any]]:
    """Run, expect a result, check what every result must be; return model and run.json."""
    outcome = call(*words, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert "Traceback" not in outcome.stderr
    told = json.loads(outcome.stdout)
    run = json.loads(Path(told["run"]).read_text())
    assert (told["ok"], run["ok"], told["status"]) == (True, True, run["status"])
    model = pycolmap.Reconstruction(told["sparse"])
    assert sorted(image.name for image in model.images.values()) == sorted(
        image["name"] for image in run["images"]
    )
    for image in model.images.values():
        camera = model.cameras[image.camera_id]
        xy = np.array([point.xy for point in image.points2D if point.has_point3D()]).reshape(-1, 2)
        assert ((xy >= 0) & (xy <= (camera.width, camera.height))).all()
    if model.num_points3D():
        expected = model.compute_mean_reprojection_error()
        assert run["mean_reprojection_error_px"] == pytest.approx(expected, rel=1e-12)
    return model, run


def _fail(call: Call, code: int, *words: object) -> str:
    """Run, expect one line and an exit code; return the line."""
    outcome = call(*words)
    assert outcome.exit_code == code, outcome.stderr
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert outcome.stderr.strip().endswith(errors[0])
    return str(errors[0])


def _status(run: dict[str, Any], name: str) -> str:
    return str(next(image["status"] for image in run["images"] if image["name"] == name))


def test_empty_folder(reconstruct_cli: Call, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    assert "no images in" in _fail(reconstruct_cli, 3, tmp_path / "images")
    assert not (tmp_path / "vggt-sfm-out").exists()


def test_good_photographs(reconstruct_cli: Call, folder: Path) -> None:
    model, run = _succeed(reconstruct_cli, folder)
    assert run["status"] == "adjusted"
    assert model.num_images() == 4


def test_one_image(reconstruct_cli: Call, folder: Path) -> None:
    model, run = _succeed(reconstruct_cli, folder / "img1.jpg", "-o", folder.parent / "out")
    assert run["status"] == "one image"
    assert model.num_images() == 1
    assert (folder.parent / "out" / "points.ply").is_file()
    words = (folder / "img1.jpg", "-o", folder.parent / "out", "--strict")
    assert "a single image cannot be adjusted" in _fail(reconstruct_cli, 5, *words)


def test_two_images(reconstruct_cli: Call, folder: Path) -> None:
    words = (folder / "img1.jpg", folder / "img2.jpg", "-o", folder.parent / "out")
    model, run = _succeed(reconstruct_cli, *words)
    assert model.num_images() == 2
    assert run["status"] in ("adjusted", "feed-forward")


def test_text_file_named_jpg(reconstruct_cli: Call, folder: Path, tmp_path: Path) -> None:
    (folder / "img5.jpg").write_text("this is not a photograph")
    model, run = _succeed(reconstruct_cli, folder)
    assert model.num_images() == 4
    assert [entry["name"] for entry in run["skipped"]] == ["img5.jpg"]
    assert "not an image" in run["skipped"][0]["reason"]
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(folder / "img5.jpg", alone)
    assert "none of 1 image files can be read" in _fail(reconstruct_cli, 3, alone)
    assert not (tmp_path / "vggt-sfm-out" / "sparse" / "0" / "img5.jpg").exists()


def test_truncated_jpeg(reconstruct_cli: Call, folder: Path) -> None:
    whole = (folder / "img2.jpg").read_bytes()
    (folder / "img2.jpg").write_bytes(whole[: len(whole) // 2])
    model, run = _succeed(reconstruct_cli, folder)
    assert model.num_images() == 3
    assert [entry["name"] for entry in run["skipped"]] == ["img2.jpg"]
    assert "truncated" in run["skipped"][0]["reason"]
    line = _fail(reconstruct_cli, 5, folder, "--strict")
    assert "1 images left out or held by no track: img2.jpg" in line
    words = (folder / "img2.jpg", "-o", folder.parent / "other")
    assert "truncated" in _fail(reconstruct_cli, 3, *words)
    told = json.loads((folder.parent / "other" / "run.json").read_text())
    assert (told["ok"], told["status"], told["error"]) == (False, "failed", "InputError")
    assert not (folder.parent / "other" / "sparse").exists()


def test_portrait_and_landscape_mixed(reconstruct_cli: Call, tmp_path: Path) -> None:
    views = photos.views(4)
    upright = photos.views(4, width=240, height=320)
    photos.write_photos(tmp_path / "images", [views[0], upright[1], views[2], upright[3]])
    model, run = _succeed(reconstruct_cli, tmp_path / "images")
    sizes = {
        image.name: (model.cameras[image.camera_id].width, model.cameras[image.camera_id].height)
        for image in model.images.values()
    }
    assert sizes == {
        "img1.jpg": (320, 240),
        "img2.jpg": (240, 320),
        "img3.jpg": (320, 240),
        "img4.jpg": (240, 320),
    }
    assert run["status"] == "adjusted"


def test_exif_rotation_6(reconstruct_cli: Call, folder: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    for name in ("img2.jpg", "img3.jpg"):
        with Image.open(folder / name) as image:
            image.transpose(Image.Transpose.ROTATE_90).save(folder / name, quality=95, exif=exif)
    model, run = _succeed(reconstruct_cli, folder)
    assert {(camera.width, camera.height) for camera in model.cameras.values()} == {(320, 240)}
    assert run["status"] == "adjusted"
    assert {image["status"] for image in run["images"]} == {"refined"}
    assert run["mean_reprojection_error_px"] < 1


def test_all_black_image_among_good_ones(reconstruct_cli: Call, folder: Path) -> None:
    Image.new("RGB", (320, 240)).save(folder / "black.png")
    model, run = _succeed(reconstruct_cli, folder)
    assert model.num_images() == 5
    assert _status(run, "black.png") == "predicted only"
    assert [_status(run, f"img{n}.jpg") for n in range(1, 5)] == ["refined"] * 4
    assert "black.png" in _fail(reconstruct_cli, 5, folder, "--strict")


def test_nothing_but_black_images(reconstruct_cli: Call, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for n in range(3):
        Image.new("RGB", (320, 240), (n, 0, 0)).save(tmp_path / "images" / f"{n}.png")
    model, run = _succeed(reconstruct_cli, tmp_path / "images")
    assert (model.num_images(), model.num_points3D()) == (3, 0)
    assert run["status"] == "feed-forward"
    assert {image["status"] for image in run["images"]} == {"predicted only"}


def test_same_photo_twice(reconstruct_cli: Call, folder: Path) -> None:
    shutil.copy(folder / "img2.jpg", folder / "img2 copy.jpg")
    model, run = _succeed(reconstruct_cli, folder)
    assert model.num_images() == 4
    (skipped,) = run["skipped"]
    assert "same file as img2" in skipped["reason"]


def test_same_view_saved_twice(reconstruct_cli: Call, folder: Path) -> None:
    with Image.open(folder / "img2.jpg") as image:
        image.save(folder / "img5.png")
    truth = folder.parent / photos.TRUTH_FILE
    cameras = json.loads(truth.read_text())
    truth.write_text(json.dumps({**cameras, "img5": cameras["img2"]}))
    model, run = _succeed(reconstruct_cli, folder)
    assert model.num_images() == 5
    assert run["status"] == "adjusted"
    assert run["mean_reprojection_error_px"] < 1


def test_output_below_a_file(reconstruct_cli: Call, folder: Path) -> None:
    line = _fail(reconstruct_cli, 3, folder, "-o", folder / "img1.jpg" / "out")
    assert "cannot write to" in line
    assert "choose another folder with -o" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_output_folder(reconstruct_cli: Call, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    line = _fail(reconstruct_cli, 3, folder, "-o", tmp_path / "locked")
    assert "Permission denied" in line


def test_read_only_output_folder_even_for_root(
    reconstruct_cli: Call, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("vggt_sfm.pipelines.reconstruct.tempfile.TemporaryFile", refuse)
    line = _fail(reconstruct_cli, 3, folder, "-o", tmp_path / "out")
    assert "Permission denied; choose another folder with -o" in line
    assert list((tmp_path / "out").iterdir()) == []


def test_output_inside_the_image_folder_is_not_an_image(
    reconstruct_cli: Call, folder: Path
) -> None:
    for _ in range(2):
        model, _run = _succeed(reconstruct_cli, folder, "-o", folder / "out")
        assert model.num_images() == 4
        shutil.copytree(folder / "out" / "sparse", folder / "out" / "images", dirs_exist_ok=True)
        shutil.copy(folder / "img1.jpg", folder / "out" / "images" / "again.jpg")


def test_names_with_spaces_and_letters_of_other_alphabets(
    reconstruct_cli: Call, folder: Path
) -> None:
    (folder / "Фото 1").mkdir()
    (folder / "img1.jpg").rename(folder / "Фото 1" / "img1 100%.jpg")
    model, _ = _succeed(reconstruct_cli, folder)
    assert "Фото 1/img1 100%.jpg" in {image.name for image in model.images.values()}


def test_tiny_image_among_good_ones(reconstruct_cli: Call, folder: Path) -> None:
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("RGB", (300, 2)).save(folder / "line.png")
    model, run = _succeed(reconstruct_cli, folder)
    assert model.num_images() == 6
    assert _status(run, "dot.png") == "predicted only"


def test_first_line_says_where_results_go_and_the_last_what_to_do(
    reconstruct_cli: Call, folder: Path
) -> None:
    outcome = reconstruct_cli(folder)
    lines = outcome.stderr.strip().splitlines()
    assert lines[0] == f"results go to {folder.parent / 'vggt-sfm-out'}"
    assert str(folder.parent / "vggt-sfm-out" / "report.html") in lines[-3]
    assert str(folder.parent / "vggt-sfm-out" / "sparse" / "0") in lines[-2]
    assert "COLMAP opens it" in lines[-2]
    assert f"vggt-sfm view {folder.parent / 'vggt-sfm-out'}" in lines[-1]
    assert outcome.stdout == ""
