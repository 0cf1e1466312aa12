"""Scenes from folders: exact, or left out with a line that says why."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from painted import PaintedRoom, write_scene
from PIL import Image

from vggt_sfm.errors import InputError
from vggt_sfm.training.multitask.folders import read_scene, read_scenes

POSE_ROUNDING = 1e-9


@pytest.mark.parametrize("model", ["sparse/0", "sparse", "gt"])
def test_a_scene_comes_back_as_it_was(tmp_path: Path, model: str) -> None:
    scene = read_scene(write_scene(tmp_path, model=model), 32, 8)
    assert scene.num_frames == 3
    found, expected = scene.views([2, 0]), PaintedRoom(3).views([2, 0])
    np.testing.assert_allclose(found.images, expected.images, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(found.depth, expected.depth)
    np.testing.assert_allclose(found.cam_from_world, expected.cam_from_world, atol=POSE_ROUNDING)
    np.testing.assert_array_equal(found.intrinsics, expected.intrinsics)


def test_images_depth_and_cameras_are_resized_alike(tmp_path: Path) -> None:
    found = read_scene(write_scene(tmp_path, side=64), 32, 8).views([1])
    expected = PaintedRoom(3, side=32).views([1])
    np.testing.assert_array_equal(found.intrinsics, expected.intrinsics)
    # the nearest of four pixels is half a pixel away from the middle
    assert np.abs(found.depth - expected.depth).mean() < 0.05
    assert np.abs(found.images - expected.images).mean() < 0.02


def no_model(scene: Path) -> None:
    shutil.rmtree(scene / "sparse")


def damaged_model(scene: Path) -> None:
    (scene / "sparse" / "0" / "images.txt").write_text("what is this\n")


def one_camera(scene: Path) -> None:
    images = scene / "sparse" / "0" / "images.txt"
    images.write_text("\n".join(images.read_text().splitlines()[:2]) + "\n")


def no_depth(scene: Path) -> None:
    shutil.rmtree(scene / "depth")


def unreadable_image(scene: Path) -> None:
    (scene / "images" / "001.png").write_bytes(b"no image")


def missing_image(scene: Path) -> None:
    (scene / "images" / "001.png").unlink()


def half_an_image(scene: Path) -> None:
    path = scene / "images" / "001.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_size(scene: Path) -> None:
    Image.new("RGB", (20, 32)).save(scene / "images" / "001.png")


def other_depth(scene: Path) -> None:
    np.save(scene / "depth" / "001.npy", np.ones((16, 16)))


def unequal_sizes(scene: Path) -> None:
    Image.new("RGB", (20, 32)).save(scene / "images" / "001.png")
    np.save(scene / "depth" / "001.npy", np.ones((32, 20)))
    cameras, images = (scene / "sparse" / "0" / f"{name}.txt" for name in ("cameras", "images"))
    cameras.write_text(cameras.read_text() + "2 PINHOLE 20 32 32 32 10 16\n")
    images.write_text(images.read_text().replace("1 001.png", "2 001.png"))


def distorted(scene: Path) -> None:
    cameras = scene / "sparse" / "0" / "cameras.txt"
    cameras.write_text("1 SIMPLE_RADIAL 32 32 32 16 16 0.1\n")


def turned(scene: Path) -> None:
    path = scene / "images" / "001.png"
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(path) as image:
        image.save(path, exif=exif)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (no_model, "no COLMAP model"),
        (damaged_model, "no readable COLMAP model"),
        (one_camera, "1 cameras"),
        (no_depth, "0 of 3 images have a depth map"),
        (unreadable_image, r"001\.png"),
        (missing_image, r"001\.png"),
        (half_an_image, r"001\.png"),
        (other_size, r"001\.png is 20 x 32, its camera 32 x 32, its depth map 32 x 32"),
        (other_depth, r"its depth map 16 x 16"),
        (unequal_sizes, "images of unequal sizes, such as 20 x 32 and 32 x 32"),
        (distorted, "distorted camera"),
        (turned, "EXIF"),
    ],
)
def test_scenes_that_cannot_be_used_are_left_out_and_named(
    tmp_path: Path, spoil: Callable[[Path], None], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_scene(tmp_path / "good")
    spoil(write_scene(tmp_path / "spoilt"))
    with pytest.raises(InputError, match=reason):
        read_scene(tmp_path / "spoilt", 32, 8)
    with caplog.at_level(logging.WARNING):
        assert len(read_scenes(tmp_path, 32, 8)) == 1
    (message,) = caplog.messages
    assert str(tmp_path / "spoilt") in message
    assert "\n" not in message


def test_images_that_are_too_small_for_the_track_head_are_left_out(tmp_path: Path) -> None:
    write_scene(tmp_path)
    with pytest.raises(InputError, match=r"become 32 x 32 .* track head \(33\)"):
        read_scene(tmp_path, 32, 8, smallest=33)


def test_frames_without_depth_are_left_out_where_others_have_some(tmp_path: Path) -> None:
    write_scene(tmp_path)
    (tmp_path / "depth" / "001.npy").unlink()
    assert read_scene(tmp_path, 32, 8).num_frames == 2


def test_no_usable_scene_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of 0 scenes"):
        read_scenes(tmp_path, 32, 8)
    no_depth(write_scene(tmp_path / "a"))
    with pytest.raises(InputError, match="none of 1 scenes") as caught:
        read_scenes(tmp_path, 32, 8)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such folder"):
        read_scenes(tmp_path / "nowhere", 32, 8)
