"""Bundle adjustment of models that are there already."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from adjusting import auc5, content, poses, seeded
from rigged import rigged
from synthetic import SyntheticScene, disturbed, synthetic_scene

from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.errors import InputError, ReconstructionError
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.pipelines.adjusting import adjust_model
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.exporting import export
from vggt_sfm.pipelines.reconstruct import reconstruct

DATA: SyntheticScene = disturbed(
    synthetic_scene(num_frames=6, num_points=100, pixel_noise=0.3, arc_deg=60),
    rotation_deg=1,
    center=0.05,
    focal=1.02,
    depth=0.02,
)
REJECTING = BundleConfig(min_observations=100000)
SAME_WORLD = 0.05  # of the cameras, at 5 from what they look at: by how much they were off


def _write(model: pycolmap.Reconstruction, folder: Path, *, text: bool = False) -> Path:
    """Write a model to ``sparse/0``; return the folder it is in."""
    (folder / "sparse/0").mkdir(parents=True)
    (model.write_text if text else model.write_binary)(folder / "sparse/0")
    return folder


@pytest.mark.parametrize("text", [False, True])
def test_model_is_better_and_the_old_one_as_it_was(tmp_path: Path, text: bool) -> None:
    start = seeded(DATA)
    folder = _write(start, tmp_path / "theirs", text=text)
    before = content(folder / "sparse/0")
    result = adjust_model(folder)
    model = result.reconstruction()
    assert result.output == folder / "vggt-sfm-adjusted"
    assert content(folder / "sparse/0") == before
    assert auc5(poses(model), DATA) > 90 > auc5(poses(start), DATA) + 10
    assert sorted(model.images) == sorted(start.images)
    assert set(model.points3D) <= set(start.points3D)
    moved = np.linalg.norm(poses(model)[:, :, 3] - poses(start)[:, :, 3], axis=1)
    assert np.median(moved) < 4 * SAME_WORLD


def test_file_beside_the_model_says_what_was_done(tmp_path: Path) -> None:
    result = adjust_model(_write(seeded(DATA), tmp_path / "theirs"), tmp_path / "out")
    told = json.loads((tmp_path / "out/adjust.json").read_text())
    assert (told["ok"], told["model"]) == (True, str(tmp_path / "theirs"))
    assert told["bundle"]["status"] == "refined"
    assert told["verdict"]["words"].startswith("Ready for splatting")
    assert told["before"]["mean_error_px"] > 3 > 0.5 > told["after"]["mean_error_px"]
    assert [image["status"] for image in told["images"]] == ["refined"] * 6
    assert told["config"]["max_error_px"] == BundleConfig().max_error_px
    error = result.reconstruction().compute_mean_reprojection_error()
    assert told["after"]["mean_error_px"] == pytest.approx(error, rel=1e-9)
    assert f"{error:.2f} px after, focal length 448.8 px before, 4" in told["line"]


@pytest.mark.parametrize("model", [seeded(DATA), rigged(moments=3, points=60)])
def test_rejected_model_is_written_byte_for_byte(
    model: pycolmap.Reconstruction, tmp_path: Path
) -> None:
    folder = _write(model, tmp_path / "theirs")
    with pytest.raises(ReconstructionError, match=r"--strict: .* it is in .*out"):
        adjust_model(folder, tmp_path / "out", REJECTING, strict=True)
    told = json.loads((tmp_path / "out/adjust.json").read_text())
    assert told["bundle"]["status"] != "refined"
    assert told["verdict"] is None
    assert told["line"].endswith("; the model is written as it was")
    assert content(tmp_path / "out/sparse/0") == content(folder / "sparse/0")


def test_cameras_of_a_rig_stay_together(tmp_path: Path) -> None:
    start = rigged()
    result = adjust_model(_write(start, tmp_path))
    model = result.reconstruction()
    assert result.report.bundle.status == "refined"
    assert result.report.bundle.rig == "held: 2 cameras at 4 moments"
    assert result.report.remarks == ()
    assert [model.num_rigs(), model.num_frames(), model.num_images()] == [1, 4, 8]
    assert start.compute_mean_reprojection_error() > 3
    assert model.compute_mean_reprojection_error() < 0.5
    names = {image_id: image.name for image_id, image in start.images.items()}
    assert {image_id: image.name for image_id, image in model.images.items()} == names


def test_images_that_no_rig_can_hold_are_adjusted_one_by_one(tmp_path: Path) -> None:
    start = rigged()
    for image in list(start.images.values())[1::4]:  # of half the moments, shifted to the side
        for point in image.points2D:
            point.xy += (25, 0)
    result = adjust_model(_write(start, tmp_path))
    assert result.report.bundle.status == "refined"
    assert "rigs of several cameras are dissolved" in result.report.remarks[0]
    assert "(not held: " in result.report.remarks[0]
    model = result.reconstruction()
    assert [model.num_frames(), model.num_images()] == [8, 8]


@pytest.mark.parametrize(
    "name", ["OPENCV", "FULL_OPENCV", "FOV", "THIN_PRISM_FISHEYE", "EUCM", "EQUIRECTANGULAR"]
)
def test_any_camera_model_gives_a_result(name: str, tmp_path: Path) -> None:
    model = seeded(synthetic_scene(num_frames=4, num_points=60, pixel_noise=0.0, arc_deg=60))
    kind = getattr(pycolmap.CameraModelId, name)
    rng = np.random.default_rng(0)
    for camera in model.cameras.values():
        fresh = pycolmap.Camera.create_from_model_id(camera.camera_id, kind, 440, 400, 300)
        camera.model, camera.params = fresh.model, fresh.params
    for image in model.images.values():
        lens = model.cameras[image.camera_id]
        for point in image.points2D:
            seen = image.cam_from_world() * model.points3D[point.point3D_id].xyz
            point.xy = lens.img_from_cam(seen) + rng.normal(0, 0.3, 2)
    for frame in model.frames.values():
        pose = frame.rig_from_world
        off = rng.normal(0, 0.03, 3)
        frame.rig_from_world = pycolmap.Rigid3d(pose.rotation, pose.translation + off)
    result = adjust_model(_write(model, tmp_path))
    expected = "skipped" if name == "EQUIRECTANGULAR" else "refined"  # which has no focal length
    assert result.report.bundle.status == expected
    if expected == "refined":
        assert result.report.after is not None
        assert (result.report.after.mean_error_px or 9) < 0.5


def test_points_that_are_nowhere_are_left_out(tmp_path: Path) -> None:
    model = seeded(DATA)
    ids = sorted(model.points3D)
    for point_id in ids[::3]:
        model.points3D[point_id].xyz = [np.nan] * 3
    some = adjust_model(_write(model, tmp_path / "some"))
    assert some.report.bundle.status == "refined"
    assert set(some.reconstruction().points3D) <= set(ids) - set(ids[::3])
    for point_id in ids:
        model.points3D[point_id].xyz = [np.nan] * 3
    every = adjust_model(_write(model, tmp_path / "every"))
    assert every.report.bundle.status == "skipped"
    assert every.report.after is not None
    assert every.report.after.mean_error_px is None


def test_one_image_is_written_as_it_was(tmp_path: Path) -> None:
    model = seeded(DATA)
    for frame_id in sorted(model.frames)[1:]:
        model.deregister_frame(frame_id)
    track = pycolmap.Track()
    track.add_element(1, 0)
    model.add_point3D(np.array([0.0, 0, 1]), track)
    result = adjust_model(_write(model, tmp_path))
    assert result.report.line == "skipped: one image; the model is written as it was"


def test_what_cannot_be_adjusted_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        adjust_model(tmp_path / "gone")
    with pytest.raises(InputError, match="holds no image with a pose"):
        adjust_model(_write(pycolmap.Reconstruction(), tmp_path / "empty"))
    bare = seeded(DATA)
    for point_id in list(bare.points3D):
        bare.delete_point3D(point_id)
    folder = _write(bare, tmp_path / "bare")
    with pytest.raises(InputError, match=r"bare: has no points, and 6 of its 6 photographs"):
        adjust_model(folder)
    assert not (folder / "vggt-sfm-adjusted").exists()


def test_nothing_of_the_users_is_replaced(tmp_path: Path) -> None:
    folder = _write(seeded(DATA), tmp_path / "theirs")
    for model in (folder, folder / "sparse", folder / "sparse/0"):
        with pytest.raises(InputError, match=r"-o .*theirs: holds the model itself"):
            adjust_model(model, folder)
    other = _write(rigged(moments=2, points=20), tmp_path / "other")
    before = content(other / "sparse/0")
    with pytest.raises(InputError, match=r"sparse is there already and no export made it"):
        adjust_model(folder, other)
    assert content(other / "sparse/0") == before
    assert not (other / "adjust.json").exists()
    small = _write(rigged(moments=2, points=20), tmp_path / "small")
    adjust_model(small, tmp_path / "out")
    again = adjust_model(small, tmp_path / "out", BundleConfig(max_error_px=3.0))
    assert again.report.config.max_error_px == 3.0


@pytest.mark.usefixtures("simulated_predictor")
def test_a_transforms_json_is_adjusted_with_points_from_its_photographs(
    room: Path, tmp_path: Path
) -> None:
    run = reconstruct(room, tmp_path / "run", ReconstructConfig(report=False))
    export(tmp_path / "run", ["nerfstudio"], tmp_path / "nerf")
    before = poses_by_name(run.reconstruction())
    result = adjust_model(tmp_path / "nerf" / "transforms.json", tmp_path / "out")
    assert result.report.bundle.status in ("refined", "rejected")  # it was adjusted once
    model = result.reconstruction()
    assert model.num_points3D() > 100
    after = {Path(name).name: pose for name, pose in poses_by_name(model).items()}
    assert sorted(after) == sorted(before)
    for name, pose in before.items():
        np.testing.assert_allclose(after[name], pose, atol=0.02)
