"""Trajectories, GLB, point clouds and depth files, as their readers see them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import foreign
import numpy as np
import pycolmap
import pytest
import readers
import readers_gsplat
import readers_other
from scipy.spatial.transform import Rotation

from vggt_sfm.errors import InputError
from vggt_sfm.io.opened import OpenedModel, PhotoDepth
from vggt_sfm.pipelines.exporting import export, export_opened
from vggt_sfm.pipelines.opened import open_model
from vggt_sfm.scene import PixelMap, Size

# Text of 12 digits, of positions a few units from the origin.
SAME_TEXT = 1e-10
# float32 vertices of a world a few units wide.
SAME_POINT = 1e-5
NAMES = ["img10.png", "img9.png", "sub dir/img1.png"]
# Natural order: numbers by value, folders by name.
IN_ORDER = ["img9.png", "img10.png", "sub dir/img1.png"]


@pytest.fixture
def made(tmp_path: Path) -> foreign.Made:
    return foreign.simple_workspace(tmp_path, NAMES)


def pose_of(made: foreign.Made, name: str) -> pycolmap.Rigid3d:
    return made.model.find_image_with_name(name).cam_from_world()


def centres(made: foreign.Made) -> np.ndarray:
    return np.array([pose_of(made, name).inverse().translation for name in IN_ORDER])


def test_tum_holds_camera_positions_in_the_world(made: foreign.Made, tmp_path: Path) -> None:
    export(tmp_path, ["tum"])
    times, xyz, quat_xyzw = readers_other.read_tum(
        tmp_path / "vggt-sfm-export" / "trajectory.tum.txt"
    )
    np.testing.assert_array_equal(times, [0, 1, 2])
    assert np.abs(xyz - centres(made)).max() < SAME_TEXT
    for quat, name in zip(quat_xyzw, IN_ORDER, strict=True):
        world_from_cam = pose_of(made, name).inverse().rotation.matrix()
        assert np.abs(Rotation.from_quat(quat).as_matrix() - world_from_cam).max() < SAME_TEXT
        # Wrong order or direction must not pass for right.
        wrong = Rotation.from_quat(np.roll(quat, 1)).as_matrix()
        assert np.abs(wrong - world_from_cam).max() > 0.1


def test_tum_takes_the_times_of_a_video(made: foreign.Made, tmp_path: Path) -> None:
    opened = open_model(tmp_path)
    seconds = {"img9.png": 0.033367, "img10.png": 1.5, "sub dir/img1.png": 1e6 + 0.25}
    (done,) = export_opened(opened, ["tum"], tmp_path / "out", seconds=seconds)
    np.testing.assert_array_equal(readers_other.read_tum(done.path)[0], [0.033367, 1.5, 1e6 + 0.25])


def test_kitti_holds_world_from_cam_and_its_names_beside_it(
    made: foreign.Made, tmp_path: Path
) -> None:
    export(tmp_path, ["kitti"])
    folder = tmp_path / "vggt-sfm-export"
    poses = readers_other.read_kitti(folder / "trajectory.kitti.txt")
    names = (folder / "trajectory.kitti.images.txt").read_text().splitlines()
    assert names == IN_ORDER
    for pose, name in zip(poses, names, strict=True):
        assert np.abs(pose - pose_of(made, name).inverse().matrix()).max() < SAME_TEXT


@pytest.mark.parametrize("georeferenced", [False, True])
def test_glb_has_y_up_and_the_cameras_where_they_are(
    made: foreign.Made, tmp_path: Path, georeferenced: bool
) -> None:
    opened = open_model(tmp_path)
    opened = replace(opened, georeferenced=georeferenced)
    (done,) = export_opened(opened, ["glb"], tmp_path / "out")
    points, lines = readers_other.read_glb(done.path)

    def y_up(xyz: np.ndarray) -> np.ndarray:
        """From y down and z ahead, or from east, north, up; a turn, no mirror."""
        x, y, z = xyz.T
        return np.stack([x, z, -y] if georeferenced else [x, -y, -z], axis=1)

    expected = y_up(np.array([point.xyz for _, point in sorted(made.model.points3D.items())]))
    assert np.abs(points - expected).max() < SAME_POINT
    assert len(lines) == 8 * len(NAMES)
    for centre in y_up(centres(made)):
        ends = np.linalg.norm(lines - centre, axis=2) < SAME_POINT
        assert ends.sum() == 4  # the edges from the camera to the corners of its image
    # The four corners lie ahead of the camera, on the rays of the image's corners.
    lens = made.model.cameras[1]
    corners = np.array([[0, 0], [lens.width, 0], [lens.width, lens.height], [0, lens.height]])
    ahead = pose_of(made, "img9.png").inverse()
    rays = np.column_stack([lens.cam_from_img(corners.astype(float)), np.ones(4)])
    apex, far = y_up(np.stack([ahead.translation, ahead.translation])), lines.reshape(-1, 3)
    for ray in y_up(rays @ ahead.rotation.matrix().T):
        toward = (far - apex[0]) / np.maximum(np.linalg.norm(far - apex[0], axis=1), 1e-9)[:, None]
        assert (toward @ (ray / np.linalg.norm(ray))).max() > 1 - 1e-6


def test_ply_has_the_points_of_the_model(made: foreign.Made, tmp_path: Path) -> None:
    (done,) = export(tmp_path, ["ply"])
    xyz, rgb = readers.read_ply(done.path)
    points = [point for _, point in sorted(made.model.points3D.items())]
    assert np.abs(xyz - [point.xyz for point in points]).max() < SAME_POINT
    np.testing.assert_array_equal(rgb, [point.color for point in points])
    assert b"comment unit scene\n" in done.path.read_bytes()


def test_text_model_is_the_model(made: foreign.Made, tmp_path: Path) -> None:
    (done,) = export(tmp_path, ["colmap-text"])
    cameras, images, points = readers_gsplat.read_text(done.path)
    assert cameras[1] == ("PINHOLE", *foreign.SIZE, list(foreign.LENSES["PINHOLE"]))
    assert sorted(images) == sorted(NAMES)
    for name in NAMES:
        pose = pose_of(made, name).matrix()
        assert np.abs(images[name][0] - pose).max() < 1e-12  # the text holds 17 digits
    assert sorted(points) == sorted(made.model.points3D)


# Where depth files are read back: pixels of a wall are at most half a depth pixel off.
HALF_PX = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
WALL = np.array([0.1, -0.2, 1.0]), 4.0  # normal and offset: n · xyz = 4


def wall_depth(opened: OpenedModel, image: pycolmap.Image) -> PhotoDepth:
    """The true depth of a slanted wall, at two thirds of the photograph and padded at the sides."""
    lens = opened.model.cameras[image.camera_id]
    scale, pad = 2 / 3, 5
    network = Size(round(lens.width * scale) + 2 * pad, round(lens.height * scale))
    scales = ((network.width - 2 * pad) / lens.width, network.height / lens.height)
    column, row = np.meshgrid(np.arange(network.width) + 0.5, np.arange(network.height) + 0.5)
    xy = np.stack([(column - pad) / scales[0], row / scales[1]], axis=-1).reshape(-1, 2)
    rays = np.column_stack([lens.cam_from_img(xy), np.ones(len(xy))])
    world_from_cam = image.cam_from_world().inverse()
    normal, offset = WALL
    along = rays @ world_from_cam.rotation.matrix().T @ normal
    depth = (offset - world_from_cam.translation @ normal) / along
    return PhotoDepth(
        depth=depth.reshape(network[::-1]).astype(np.float32),
        confidence=np.full(network[::-1], 2.5, np.float32),
        pixel_map=PixelMap(
            original=Size(lens.width, lens.height), network=network, scale=scales, offset=(pad, 0.0)
        ),
    )


@pytest.fixture
def walled(tmp_path: Path) -> OpenedModel:
    """A model of a wall that all cameras look at, with depth."""
    made = foreign.made_model(
        NAMES, [foreign.camera("PINHOLE")], foreign.poses(3, seed=2, spread=0.05)
    )
    foreign.write_workspace(tmp_path, made)
    opened = open_model(tmp_path)
    depths = {image.name: wall_depth(opened, image) for image in opened.images()}
    return replace(opened, depths=depths, unit="m")


@pytest.mark.parametrize("word", ["depth-npz", "depth-exr"])
def test_unprojected_depth_lies_on_the_wall(walled: OpenedModel, tmp_path: Path, word: str) -> None:
    (done,) = export_opened(walled, [word], tmp_path / "out")  # type: ignore[list-item]
    normal, offset = WALL
    read, suffix = {
        "depth-npz": (readers_other.read_npz, ".npz"),
        "depth-exr": (readers_other.read_exr, ".exr"),
    }[word]
    for image in walled.images():
        file = read(done.path / f"{image.name}{suffix}")
        assert (file.depth > 0).all()
        assert (file.confidence == 2.5).all()
        assert file.unit == "m"
        away = np.abs(file.unprojected() @ normal - offset)
        # Rows and columns are those of the network, so that nothing is interpolated: float32.
        assert away.max() < 1e-5
        shifted = replace(file, intrinsics=HALF_PX @ file.intrinsics)
        assert np.abs(shifted.unprojected() @ normal - offset).max() > 1e-4


def test_depth_of_nerfstudio_is_that_of_the_wall(walled: OpenedModel, tmp_path: Path) -> None:
    export_opened(walled, ["nerfstudio"], tmp_path / "out")
    normal, offset = WALL
    for frame in readers.read_transforms(tmp_path / "out").frames.values():
        xy = np.array([[20.5, 20.5], [80.5, 60.5], [140.5, 100.5], [30.5, 110.5]])
        depth = frame.depth(xy)
        x = (xy[:, 0] - frame.lens["cx"]) / frame.lens["fl_x"]
        y = (xy[:, 1] - frame.lens["cy"]) / frame.lens["fl_y"]
        in_camera = np.stack([x, y, np.ones(4)], axis=1) * depth[:, None]
        world = in_camera @ frame.world_from_cam[:3, :3].T + frame.world_from_cam[:3, 3]
        # A depth pixel is 1.5 px wide, over which the wall recedes by half a percent at most.
        assert np.abs(world @ normal - offset).max() < 0.02


def test_no_depth_for_nerfstudio_where_thousandths_are_too_coarse_or_too_few(
    walled: OpenedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n, factor in enumerate((0.005, 50.0)):
        depths = {
            name: replace(each, depth=each.depth * np.float32(factor))
            for name, each in walled.depths.items()
        }
        export_opened(replace(walled, depths=depths), ["nerfstudio"], tmp_path / str(n))
        data = readers.read_transforms(tmp_path / str(n))
        assert all(frame.depth_file is None for frame in data.frames.values())
        assert not (tmp_path / str(n) / "depth_png").exists()
        assert "no depth for nerfstudio" in caplog.text
        caplog.clear()


def test_depth_of_a_model_without_any_is_an_error(made: foreign.Made, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no predicted depth"):
        export(tmp_path, ["depth-npz"])
