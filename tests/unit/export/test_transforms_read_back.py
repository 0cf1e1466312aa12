"""What nerfstudio and instant-ngp make of ``transforms.json`` is what COLMAP makes of the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import foreign
import numpy as np
import pycolmap
import pytest
import readers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vggt_sfm.errors import InputError
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.pipelines.exporting import export, export_opened
from vggt_sfm.pipelines.opened import open_model

# The file holds 15 digits; what is left is the rounding of a few hundred pixels in float64.
SAME_PX = 1e-6
# A planted mistake of half a pixel must stand out.
WRONG_PX = 0.3
# float32 vertices of a cloud a few units wide.
SAME_POINT = 1e-5
KNOWN = [model for model in foreign.LENSES if model != "FULL_OPENCV"]
PERSPECTIVE = [model for model in KNOWN if "FISHEYE" not in model]
FISHEYE = [model for model in KNOWN if "FISHEYE" in model]
OTHER_SIZE = (120, 200)


def largest_error(data: readers.NerfData, made: foreign.Made) -> float:
    """Return the largest distance between the reader's pixels and COLMAP's, over all images."""
    errors = []
    for name, xyz in made.xyz_of.items():
        expected = foreign.projected(made.model, name, xyz)
        found = data.frames[f"images/{name}"].project(xyz)
        errors.append(np.linalg.norm(found - expected, axis=1).max())
    return float(max(errors))


def exported(folder: Path, made: foreign.Made) -> readers.NerfData:
    foreign.write_workspace(folder, made)
    export(folder, ["nerfstudio"])
    return readers.read_transforms(folder / "vggt-sfm-export")


@pytest.mark.parametrize("model", KNOWN)
def test_one_shared_camera(tmp_path: Path, model: str) -> None:
    names = [f"{n}.png" for n in range(4)]
    made = foreign.made_model(names, [foreign.camera(model)], foreign.poses(4))
    data = exported(tmp_path, made)
    assert len(data.frames) == 4
    assert largest_error(data, made) < SAME_PX
    assert "fl_x" in data.told
    assert all(set(e) == {"file_path", "transform_matrix"} for e in data.told["frames"])


@pytest.mark.parametrize("model", KNOWN)
def test_cameras_of_several_sizes(tmp_path: Path, model: str) -> None:
    cameras = [foreign.camera(model), foreign.camera(model, OTHER_SIZE, camera_id=7)]
    made = foreign.made_model([f"{n}.png" for n in range(4)], cameras, foreign.poses(4, seed=1))
    data = exported(tmp_path, made)
    assert largest_error(data, made) < SAME_PX
    sizes = {(frame.lens["w"], frame.lens["h"]) for frame in data.frames.values()}
    assert sizes == {foreign.SIZE, OTHER_SIZE}


@pytest.mark.parametrize("family", [PERSPECTIVE, FISHEYE], ids=["perspective", "fisheye"])
def test_cameras_of_several_models(tmp_path: Path, family: list[str]) -> None:
    cameras = [foreign.camera(model, camera_id=n + 1) for n, model in enumerate(family)]
    names = [f"{n}.png" for n in range(len(family))]
    made = foreign.made_model(names, cameras, foreign.poses(len(family), seed=2))
    assert largest_error(exported(tmp_path, made), made) < SAME_PX


def test_fisheye_and_others_in_one_model_are_refused(tmp_path: Path) -> None:
    """The format names the camera model once, for all."""
    cameras = [foreign.camera("OPENCV"), foreign.camera("OPENCV_FISHEYE", camera_id=2)]
    made = foreign.made_model(["a.png", "b.png"], cameras, foreign.poses(2))
    foreign.write_workspace(tmp_path, made)
    with pytest.raises(InputError, match=r"fisheye.*--to gsplat"):
        export(tmp_path, ["nerfstudio"])
    assert not (tmp_path / "vggt-sfm-export" / "transforms.json").exists()
    export(tmp_path, ["gsplat"])


def test_distortion_without_words_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    made = foreign.made_model(["a.png"], [foreign.camera("FULL_OPENCV")], foreign.poses(1))
    foreign.write_workspace(tmp_path, made)
    with pytest.raises(InputError, match=r"FULL_OPENCV.*--to gsplat"):
        export(tmp_path, ["nerfstudio"])
    assert not (tmp_path / "vggt-sfm-export" / "images").exists()


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    model=st.sampled_from(KNOWN),
    seed=st.integers(0, 2**16),
    spread=st.sampled_from([0.0, 1e-7, 1.0]),
)
def test_any_pose(
    tmp_path_factory: pytest.TempPathFactory, model: str, seed: int, spread: float
) -> None:
    placed = foreign.poses(2, seed, spread)
    made = foreign.made_model(["a.png", "b.png"], [foreign.camera(model)], placed, seed=seed)
    assert largest_error(exported(tmp_path_factory.mktemp("ws"), made), made) < SAME_PX


def test_points_and_their_colours_are_those_of_the_model(tmp_path: Path) -> None:
    made = foreign.simple_workspace(tmp_path)
    export(tmp_path, ["nerfstudio"])
    data = readers.read_transforms(tmp_path / "vggt-sfm-export")
    points = [point for _, point in sorted(made.model.points3D.items())]
    assert np.abs(data.xyz - [point.xyz for point in points]).max() < SAME_POINT
    assert (data.rgb == [point.color for point in points]).all()


def test_a_level_camera_has_z_up_and_a_georeferenced_world_stays(tmp_path: Path) -> None:
    level = pycolmap.Rigid3d()
    made = foreign.made_model(["a.png"], [foreign.camera("PINHOLE")], [level])
    foreign.write_workspace(tmp_path, made)
    opened = open_model(tmp_path)
    export_opened(opened, ["nerfstudio"], tmp_path / "level")
    told = json.loads((tmp_path / "level" / "transforms.json").read_text())
    up_of_camera = np.array(told["frames"][0]["transform_matrix"])[:3, 1]
    np.testing.assert_array_equal(up_of_camera, [0, 0, 1])
    there = OpenedModel(model=opened.model, frames=opened.frames, georeferenced=True)
    export_opened(there, ["nerfstudio"], tmp_path / "geo")
    data = readers.read_transforms(tmp_path / "geo")
    assert data.told["applied_transform"] == np.eye(3, 4).tolist()
    assert largest_error(data, made) < SAME_PX


def _forget_applied(told: dict[str, Any]) -> None:
    told["applied_transform"] = np.eye(3, 4).tolist()


def _opencv_axes(told: dict[str, Any]) -> None:
    for entry in told["frames"]:
        matrix = np.array(entry["transform_matrix"]) @ np.diag([1, -1, -1, 1])
        entry["transform_matrix"] = matrix.tolist()


def _centre_origin(told: dict[str, Any]) -> None:
    told["cx"] -= 0.5
    told["cy"] -= 0.5


def _swap_tangential(told: dict[str, Any]) -> None:
    told["p1"], told["p2"] = told["p2"], told["p1"]


def _one_focal_length(told: dict[str, Any]) -> None:
    told["fl_y"] = told["fl_x"]


def _camera_from_world(told: dict[str, Any]) -> None:
    for entry in told["frames"]:
        matrix = np.linalg.inv(np.array(entry["transform_matrix"]))
        entry["transform_matrix"] = matrix.tolist()


@pytest.mark.parametrize(
    "plant",
    [
        _forget_applied,
        _opencv_axes,
        _centre_origin,
        _swap_tangential,
        _one_focal_length,
        _camera_from_world,
    ],
)
def test_the_reader_notices(tmp_path: Path, plant: Callable[[dict[str, Any]], None]) -> None:
    made = foreign.made_model(
        ["a.png", "b.png"], [foreign.camera("OPENCV")], foreign.poses(2, seed=5)
    )
    exported(tmp_path, made)
    path = tmp_path / "vggt-sfm-export" / "transforms.json"
    told = json.loads(path.read_text())
    plant(told)
    path.write_text(json.dumps(told))
    assert largest_error(readers.read_transforms(path.parent), made) > WRONG_PX


@pytest.mark.parametrize("seed", range(3))
def test_instant_ngp_has_the_cameras_in_its_cube_and_the_points_in_its_box(
    tmp_path: Path, seed: int
) -> None:
    made = foreign.made_model(
        [f"{n}.png" for n in range(5)], [foreign.camera("OPENCV")], foreign.poses(5, seed)
    )
    foreign.write_workspace(tmp_path, made)
    export(tmp_path, ["instant-ngp"])
    data = readers.read_transforms(tmp_path / "vggt-sfm-export")
    cameras, points, (low, high) = readers.ngp_positions(data)
    assert ((cameras > 0) & (cameras < 1)).all()
    assert ((points >= low) & (points <= high)).all(axis=1).mean() >= 0.95
    # A box that is far too large would waste the grid: the next smaller one would not do.
    half = (high - low) / 4
    assert high - low == 1 or (np.abs(points - 0.5).max(axis=1) > half).mean() > 0.01
    # A single camera, or all in one place, must not blow the box up to nothing.
    one = foreign.made_model(["a.png"], [foreign.camera("OPENCV")], foreign.poses(1, seed))
    foreign.write_workspace(tmp_path / "one", one)
    export(tmp_path / "one", ["instant-ngp"])
    alone = readers.read_transforms(tmp_path / "one" / "vggt-sfm-export")
    cameras, points, (low, high) = readers.ngp_positions(alone)
    assert ((cameras > 0) & (cameras < 1)).all()
    assert ((points >= low) & (points <= high)).all(axis=1).mean() >= 0.95


def test_a_lens_of_the_fisheye_kind_is_named_for_instant_ngp_too(tmp_path: Path) -> None:
    made = foreign.made_model(["a.png"], [foreign.camera("OPENCV_FISHEYE")], foreign.poses(1))
    assert exported(tmp_path, made).told["is_fisheye"] is True
    plain = foreign.made_model(["a.png"], [foreign.camera("OPENCV")], foreign.poses(1))
    assert "is_fisheye" not in exported(tmp_path / "plain", plain).told


def test_depth_agrees_with_the_points_in_scene_units(tmp_path: Path) -> None:
    made = foreign.simple_workspace(tmp_path)
    opened = open_model(tmp_path)
    opened = replace(opened, depths=foreign.constant_depths(opened, 3.217))
    export_opened(opened, ["nerfstudio"], tmp_path / "out")
    data = readers.read_transforms(tmp_path / "out")
    for name, frame in data.frames.items():
        image = made.model.find_image_with_name(name.removeprefix("images/"))
        xy = np.array([point.xy for point in image.points2D])
        # Half of a thousandth is what a 16-bit file cannot tell.
        assert np.abs(frame.depth(xy) - 3.217).max() < 0.0006
