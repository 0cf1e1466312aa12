"""``transforms.json`` read back: our own, and as other programs and people write it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign
import numpy as np
import pycolmap
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.io.transforms import read_transforms
from vggt_sfm.pipelines.exporting import export

Float64 = NDArray[np.float64]
Told = dict[str, Any]  # JSON

# The file holds 15 digits of matrices whose numbers are a few units.
SAME_POSE = 1e-9
# Some hundred pixels in float64.
SAME_PX = 1e-9
KNOWN = [model for model in foreign.LENSES if model != "FULL_OPENCV"]


def told(count: int = 3) -> Told:
    """A file of one camera, whose frames look along -y of its world from x = 0, 1, 2."""
    matrix = np.eye(4)
    matrix[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    frames = []
    for n in range(count):
        matrix[0, 3] = n
        frames.append({"file_path": f"images/{n}.png", "transform_matrix": matrix.tolist()})
    lens = {"fl_x": 130.0, "fl_y": 137.0, "cx": 84.3, "cy": 55.7, "w": 160, "h": 120}
    return {**lens, "camera_model": "OPENCV", "frames": frames}


def read(folder: Path, content: Told) -> pycolmap.Reconstruction:
    path = folder / "transforms.json"
    path.write_text(json.dumps(content))
    return read_transforms(path)


@pytest.mark.parametrize("model", KNOWN)
def test_our_own_export_comes_back(tmp_path: Path, model: str) -> None:
    names = ["a.png", "deep/b.png", "c.png", "d.png"]
    cameras = [foreign.camera(model), foreign.camera(model, (200, 120), camera_id=7)]
    made = foreign.made_model(names, cameras, foreign.poses(4))
    foreign.write_workspace(tmp_path, made)
    export(tmp_path, ["nerfstudio"])
    found = read_transforms(tmp_path / "vggt-sfm-export" / "transforms.json")
    expected = poses_by_name(made.model)
    assert {name: 0 for name in poses_by_name(found)} == dict.fromkeys(expected, 0)
    for name, pose in poses_by_name(found).items():
        np.testing.assert_allclose(pose, expected[name], rtol=0, atol=SAME_POSE)
        seen = foreign.projected(found, name, made.xyz_of[name])
        wanted = foreign.projected(made.model, name, made.xyz_of[name])
        np.testing.assert_allclose(seen, wanted, rtol=0, atol=SAME_PX)
    assert found.num_cameras() == 2
    assert found.num_points3D() == 0


def slow_pose(content: Told, frame: Told) -> Float64:
    """cam_from_world of a frame, one documented step after the other, with 4 x 4 matrices."""
    in_file = np.array(frame["transform_matrix"])
    in_file[:3, 3] /= content["applied_scale"]
    applied = np.vstack([content["applied_transform"], [0, 0, 0, 1]])
    world_from_cam = np.linalg.inv(applied) @ in_file @ np.diag([1, -1, -1, 1])
    scale = np.cbrt(np.linalg.det(world_from_cam[:3, :3]))
    world_from_cam[:3, :3] /= scale
    return np.asarray(np.linalg.inv(world_from_cam)[:3])


@given(st.integers(0, 2**16), st.floats(0.01, 100), st.floats(0.01, 100))
def test_what_was_applied_is_undone(
    tmp_path_factory: pytest.TempPathFactory, seed: int, scale: float, applied_scale: float
) -> None:
    rng = np.random.default_rng(seed)
    content = told()
    for frame in content["frames"]:
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.random(rng=rng).as_matrix()
        matrix[:3, 3] = rng.normal(size=3)
        frame["transform_matrix"] = matrix.tolist()
    turn = scale * Rotation.random(rng=rng).as_matrix()
    content["applied_transform"] = np.column_stack([turn, rng.normal(size=3)]).tolist()
    content["applied_scale"] = applied_scale
    found = poses_by_name(read(tmp_path_factory.mktemp("json"), content))
    for n, frame in enumerate(content["frames"]):
        expected = slow_pose(content, frame)
        # Centres may be 10^4 units away where both scales are small
        size = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found[f"{n}.png"], expected, rtol=0, atol=1e-12 * size)


def test_axes_by_hand(tmp_path: Path) -> None:
    """OpenGL's camera looks along its -z, here the world's -y; up is the world's -z, as told."""
    found = poses_by_name(read(tmp_path, told()))["1.png"]
    ahead = found @ [1, -5, 0, 1]  # five units along the view
    np.testing.assert_allclose(ahead, [0, 0, 5], atol=1e-12)


def test_frames_with_equal_intrinsics_share_a_camera_and_their_own_words_hold(
    tmp_path: Path,
) -> None:
    content = told(4)
    content |= {"w": 160.0, "k1": 0.1}
    content["frames"][1] |= {"fl_x": 140, "k1": 0}
    content["frames"][3] |= {"fl_x": 140, "k1": 0.0}
    found = read(tmp_path, content)
    shared, own = (found.cameras[found.images[n].camera_id] for n in (1, 2))
    assert [found.images[n].camera_id for n in (1, 2, 3, 4)] == [1, 2, 1, 2]
    assert (shared.model_name, list(shared.params)) == (
        "OPENCV",
        [130, 137, 84.3, 55.7, 0.1, 0, 0, 0],
    )
    assert (own.model_name, list(own.params)) == ("PINHOLE", [140, 137, 84.3, 55.7])
    assert (own.width, own.height) == (160, 120)


@pytest.mark.parametrize(
    ("words", "model", "distortion"),
    [
        ({"camera_model": "PINHOLE"}, "PINHOLE", []),
        ({"camera_model": "SIMPLE_PINHOLE"}, "PINHOLE", []),
        ({"k1": 0.1, "k2": 0.2, "p1": 0.3, "p2": 0.4}, "OPENCV", [0.1, 0.2, 0.3, 0.4]),
        ({"k1": 0.1, "k3": 0.5, "k4": 0}, "FULL_OPENCV", [0.1, 0, 0, 0, 0.5, 0, 0, 0]),
        ({"camera_model": "OPENCV_FISHEYE", "k4": 0.4}, "OPENCV_FISHEYE", [0, 0, 0, 0.4]),
        ({"is_fisheye": True, "k3": 0.3}, "OPENCV_FISHEYE", [0, 0, 0.3, 0]),
    ],
)
def test_camera_models(tmp_path: Path, words: Told, model: str, distortion: list[float]) -> None:
    (lens,) = read(tmp_path, {**told(), **words}).cameras.values()
    assert lens.model_name == model
    assert list(lens.params) == [130, 137, 84.3, 55.7, *distortion]


def test_blender_file_takes_suffix_and_size_from_the_photographs(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in ("r_0.png", "r_0_depth.png", "r_1.0.JPG"):
        Image.new("RGB", (80, 60)).save(tmp_path / "train" / name)
    content = told(2)
    frames = content["frames"]
    frames[0]["file_path"], frames[1]["file_path"] = "./train/r_0", "./train/r_1.0"
    found = read(tmp_path, {"camera_angle_x": np.pi / 2, "frames": frames})
    assert [found.images[n].name for n in (1, 2)] == ["train/r_0.png", "train/r_1.0.JPG"]
    (lens,) = found.cameras.values()
    assert (lens.width, lens.height, lens.model_name) == (80, 60, "PINHOLE")
    np.testing.assert_allclose(lens.params, [40, 40, 40, 30], rtol=1e-12)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["images/a.png", "./images/b/c.png"], ["a.png", "b/c.png"]),
        (["../images/a.png", "../images/b.png"], ["a.png", "b.png"]),
        (["images/a.png", "other/b.png"], ["images/a.png", "other/b.png"]),
        (["./a.png", "b.png"], ["a.png", "b.png"]),
        (["images\\a.png", "images\\b.png"], ["a.png", "b.png"]),
        (["{}/images/a.png", "{}/images/b.png"], ["a.png", "b.png"]),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_names_are_those_of_a_colmap_model_beside(
    tmp_path: Path, paths: list[str], names: list[str]
) -> None:
    content = told(2)
    for frame, path in zip(content["frames"], paths, strict=True):
        frame["file_path"] = path.format(tmp_path)
    found = read(tmp_path, content)
    assert [found.images[n].name for n in (1, 2)] == names


def _set(key: str, value: object) -> Callable[[Told], None]:
    return lambda content: content.__setitem__(key, value)


def _set_frame(key: str, value: object) -> Callable[[Told], None]:
    return lambda content: content["frames"][1].__setitem__(key, value)


def _drop(key: str) -> Callable[[Told], None]:
    return lambda content: content.pop(key)


def _matrix(*changes: tuple[int, int, object]) -> Callable[[Told], None]:
    def change(content: Told) -> None:
        for row, column, value in changes:
            content["frames"][1]["transform_matrix"][row][column] = value

    return change


HUGE = 10**400


@pytest.mark.parametrize(
    ("plant", "line"),
    [
        (_drop("frames"), "frames is no list"),
        (_set("frames", []), "frames is no list of frames, or an empty one"),
        (_set("frames", ["a.png"]), "frame 1: is no table"),
        (_drop("fl_x"), r"frame 1 \(images/0.png\): no fl_x"),
        (_drop("h"), r"frame 1 \(images/0.png\): no h"),
        (_set("fl_y", 0), "fl_y is 0, which must be above 0"),
        (_set("w", 160.5), "w is 160.5, not a whole number of pixels"),
        (_set("w", -160), "w is -160"),
        (_set("cx", "84"), "cx is '84', not a finite number"),
        (_set("cx", True), "cx is True, not a finite number"),
        (_set("cx", HUGE), "cx is 1000.*…, not a finite number"),
        (_set("cy", float("nan")), "cy is nan, not a finite number"),
        (_set("k4", 0.1), "k4 of a perspective camera is 0.1, not 0"),
        (_set("camera_model", "EQUIRECTANGULAR"), "camera_model is 'EQUIRECTANGULAR'; known: PIN"),
        (_set("camera_model", ["OPENCV"]), "camera_model is"),
        (_set("applied_scale", 0), "transforms.json: applied_scale is 0"),
        (_set("applied_transform", np.eye(3).tolist()), "applied_transform has the shape"),
        (_set("applied_transform", np.zeros((3, 4)).tolist()), "applied_transform holds no rot"),
        (_set("applied_transform", np.diag([1, 1, -1.0, 1]).tolist()), "applied_transform holds"),
        (_set_frame("file_path", ""), "frame 2: file_path is missing"),
        (_set_frame("file_path", 3), "frame 2: file_path is missing"),
        (_set_frame("file_path", "a\0"), "frame 2: file_path is missing"),
        (_set_frame("file_path", "a\n.png"), "frame 2: file_path is missing"),
        (_set_frame("file_path", "\ud800.png"), "frame 2: file_path is missing"),
        (_set_frame("file_path", "images/0.png"), r"frame 2 \(0.png\): file_path is that of 1"),
        (_set_frame("transform_matrix", None), "frame 2.*: transform_matrix has the shape"),
        (_set_frame("transform_matrix", [[1, 2], [3]]), "transform_matrix is .*no matrix"),
        (_set_frame("transform_matrix", np.eye(3).tolist()), r"the shape \(3, 3\), not \(4, 4\)"),
        (_set_frame("transform_matrix", (2 * np.eye(4)[:3]).tolist()), "it scales by 2"),
        (_set_frame("transform_matrix", np.diag([1, 1, -1, 1]).tolist()), "holds no rotation"),
        (_matrix((0, 0, 0.5)), r"frame 2 \(images/1.png\): transform_matrix holds no rotation"),
        (_matrix((1, 3, float("nan"))), "transform_matrix has numbers that are not finite"),
        (_matrix((1, 1, HUGE)), "no matrix"),
        (_matrix((3, 0, 5.0)), r"has the last row \[5.0, 0.0, 0.0, 1.0\]"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(
    tmp_path: Path, plant: Callable[[Told], None], line: str
) -> None:
    content = told()
    plant(content)
    with pytest.raises(InputError, match=line) as caught:
        read(tmp_path, content)
    assert str(tmp_path / "transforms.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_blender_file_without_photographs_says_so(tmp_path: Path) -> None:
    content = {"camera_angle_x": 0.7, "frames": told()["frames"]}
    with pytest.raises(InputError, match=r"frame 1 .*: no w and h, and no photograph.*images/0"):
        read(tmp_path, content)
    with pytest.raises(InputError, match="camera_angle_x is 40, which must be 0 to pi, radians"):
        read(tmp_path, {**content, "camera_angle_x": 40, "w": 8, "h": 6})


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "[" * 100_000, "\xff"])
def test_bad_json_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"x\.json: no"):
        read_transforms(path)
