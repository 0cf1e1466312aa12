"""Everything that a run's own output can be exported to, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import photos
import pycolmap
import pytest
import readers
import readers_gsplat
import readers_other
from click.testing import CliRunner
from PIL import Image

from vggt_sfm.cli.main import main
from vggt_sfm.export.words import ExportWord

WORDS = get_args(ExportWord)
NAMES = ("img1.jpg", "img2.jpg", "img3.png")
# On average: the colours of a texture of single pixels, at half the resolution in JPEG.
JPEG_LEVELS = 18
# A point seen by few pixels of a small network is a few percent away from its depth map.
USUAL_DEPTH_ERROR = 0.1


@pytest.fixture(scope="module")
def exported(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run with every export in it."""
    folder = tmp_path_factory.mktemp("exported") / "out"
    shutil.copytree(finished_run, folder)
    options = [word for each in WORDS for word in ("--to", each)]
    options += ["--image-factors", "2,4", "--json"]
    result = CliRunner().invoke(main, ["export", str(folder), *options])
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert list(told["exports"]) == list(WORDS)
    assert all(Path(path).exists() for path in told["exports"].values())
    return folder


@pytest.fixture(scope="module")
def model(exported: Path) -> pycolmap.Reconstruction:
    return pycolmap.Reconstruction(exported / "sparse" / "0")


def test_nerfstudio_sees_the_points_where_the_run_observed_them(
    exported: Path, model: pycolmap.Reconstruction
) -> None:
    data = readers.read_transforms(exported)
    assert len(data.frames) == model.num_images() == 3
    assert len(data.xyz) == model.num_points3D()
    for image in model.images.values():
        frame = data.frames[f"images/{image.name}"]
        seen = [p for p in image.points2D if p.has_point3D()]
        xyz = np.array([model.points3D[p.point3D_id].xyz for p in seen])
        lens, pose = model.cameras[image.camera_id], image.cam_from_world()
        expected = np.array([lens.img_from_cam(pose * point) for point in xyz])
        assert np.abs(frame.project(xyz) - expected).max() < 1e-6  # rounding alone


def test_gsplat_has_every_factor(exported: Path, model: pycolmap.Reconstruction) -> None:
    for factor in (1, 2, 4):
        views, points = readers_gsplat.read_gsplat(exported / "gsplat", factor)
        assert len(views) == 3
        assert len(points) == model.num_points3D()
        assert all(view.pixels().shape[1::-1] == view.size for view in views)


@pytest.mark.parametrize("kind", ["npz", "exr", "png"])
def test_depth_agrees_with_the_points(
    exported: Path, model: pycolmap.Reconstruction, kind: str
) -> None:
    nerf = readers.read_transforms(exported)
    for image in model.images.values():
        seen = [p for p in image.points2D if p.has_point3D()]
        xyz = np.array([model.points3D[p.point3D_id].xyz for p in seen])
        wanted = (xyz @ image.cam_from_world().matrix()[:, :3].T)[:, 2]
        wanted = wanted + image.cam_from_world().translation[2]
        xy = np.array([p.xy for p in seen])
        if kind == "png":
            frame = nerf.frames[f"images/{image.name}"]
            if frame.depth_file is None:
                pytest.skip("the scale of this run has no room for thousandths")
            found = frame.depth(xy)
        else:
            read, folder = {
                "npz": (readers_other.read_npz, "depth"),
                "exr": (readers_other.read_exr, "depth_exr"),
            }[kind]
            file = read(exported / folder / f"{image.name}.{kind}")
            rows, columns = file.depth.shape
            lens = model.cameras[image.camera_id]
            x = np.clip((xy[:, 0] * columns / lens.width).astype(int), 0, columns - 1)
            y = np.clip((xy[:, 1] * rows / lens.height).astype(int), 0, rows - 1)
            found = file.depth[y, x]
            pose = image.cam_from_world().matrix()
            assert np.abs(file.cam_from_world - pose).max() < 1e-12
        known = found > 0
        assert known.mean() > 0.5
        ratio = found[known] / wanted[known]
        assert abs(np.median(ratio) - 1) < 0.01  # the maps are scaled by this very median
        assert np.median(np.abs(ratio - 1)) < USUAL_DEPTH_ERROR


def test_trajectories_glb_and_cloud(exported: Path, model: pycolmap.Reconstruction) -> None:
    _, xyz, _ = readers_other.read_tum(exported / "trajectory.tum.txt")
    kitti = readers_other.read_kitti(exported / "trajectory.kitti.txt")
    centres = [model.find_image_with_name(name).projection_center() for name in NAMES]
    assert np.abs(xyz - centres).max() < 1e-9  # 12 digits of text
    assert np.abs(kitti[:, :, 3] - centres).max() < 1e-9
    points, lines = readers_other.read_glb(exported / "scene.glb")
    assert (len(points), len(lines)) == (model.num_points3D(), 24)
    assert len(readers.read_ply(exported / "points.ply")[0]) == model.num_points3D()


def test_turned_and_transparent_photographs_are_upright_and_masked(exported: Path) -> None:
    views = photos.views(3)
    for folder in (exported, exported / "colmap"):
        for name, view in zip(NAMES, views, strict=True):
            with Image.open(folder / "images" / name) as image:
                assert (image.mode, image.getexif().get(274, 1)) == ("RGB", 1)
                away = np.asarray(image).astype(int) - photos.render(view)
                flipped = np.asarray(image).astype(int)[::-1, ::-1] - photos.render(view)
            assert np.abs(away).mean() < JPEG_LEVELS < np.abs(flipped).mean() / 2
            with Image.open(folder / "masks" / f"{name}.png") as image:
                hidden = np.asarray(image) == 0
            assert hidden[:, :40].all() == (name == "img3.png")
            assert not hidden[:, 40:].any()


def test_the_run_goes_on_as_if_nothing_had_been_exported(
    exported: Path, finished_run: Path
) -> None:
    for name in ("run.json", "sparse/0/images.bin", "sparse/0/points3D.bin"):
        assert (exported / name).read_bytes() == (finished_run / name).read_bytes()


def test_photographs_that_moved_are_found_again(finished_run: Path, tmp_path: Path) -> None:
    originals = finished_run.parent / "photos"
    shutil.copytree(finished_run, tmp_path / "out")
    shutil.copytree(originals, tmp_path / "moved")
    words = ["export", str(tmp_path / "out"), "--to", "colmap", "--images"]
    assert CliRunner().invoke(main, [*words, str(tmp_path / "moved")]).exit_code == 0
    copy = tmp_path / "out" / "colmap" / "images" / "img1.jpg"
    assert copy.read_bytes() == (originals / "img1.jpg").read_bytes()
    assert sorted(path.name for path in copy.parent.iterdir()) == sorted(NAMES)
    (tmp_path / "empty").mkdir()
    failed = CliRunner().invoke(main, [*words, str(tmp_path / "empty")])
    assert failed.exit_code == 3
    assert "--images" in failed.stderr
