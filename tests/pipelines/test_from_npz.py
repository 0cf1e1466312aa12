"""Whole runs on predictions that come from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import brought
import numpy as np
import photos
import pytest

from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.metrics.pose import auc_exact, relative_pose_errors
from vggt_sfm.pipelines import stages
from vggt_sfm.pipelines.config import IngestConfig, ReconstructConfig
from vggt_sfm.pipelines.reconstruct import reconstruct
from vggt_sfm.pipelines.result import ReconstructResult
from vggt_sfm.tracking.config import TrackConfig

VIEWS = photos.views(5)
SAID = brought.predicted(VIEWS, rotation_deg=0.7, focal=1.05)
SEED_POSES = 1e-9  # quaternions and back


def _config(path: Path, **changes: object) -> ReconstructConfig:
    return replace(ReconstructConfig(from_npz=path, report=False), **changes)  # type: ignore[arg-type]


def _poses(result: ReconstructResult) -> np.ndarray:
    poses = poses_by_name(result.reconstruction())
    return np.stack([poses[f"img{n}.jpg"] for n in range(1, 6)])


def _auc(poses: np.ndarray) -> float:
    true = np.stack([view.cam_from_world for view in VIEWS])
    return auc_exact(relative_pose_errors(poses, true).pose_deg, 5)


def test_prediction_of_another_size_is_the_model_and_adjusting_makes_it_better(
    room: Path, tmp_path: Path
) -> None:
    path = brought.save(tmp_path / "theirs.npz", SAID)
    plain = reconstruct(room, tmp_path / "out", _config(path, ba=False))
    before = _poses(plain)
    np.testing.assert_allclose(before, SAID["cam_from_world"], atol=SEED_POSES)
    (camera,) = plain.reconstruction().cameras.values()
    assert (camera.width, camera.height) == (320, 240)
    assert camera.params.tolist() == pytest.approx([1.05 * VIEWS[0].focal, 160, 120])
    adjusted = reconstruct(room, tmp_path / "out", _config(path))
    assert adjusted.report.status == "adjusted"
    assert _auc(_poses(adjusted)) > 95 > _auc(before) + 20
    network = adjusted.report.network
    assert network is not None
    assert (network.name, network.device, network.licence) == ("theirs.npz (given)", "none", "")
    assert {image.camera_source for image in adjusted.report.images} == {"given"}
    ran = [stage.name for stage in adjusted.report.stages if not stage.cached]
    assert "predict" not in ran
    brought.save(path, SAID, depth=1.001 * SAID["depth"])
    again = reconstruct(room, tmp_path / "out", _config(path, until="predict"))
    assert [stage.name for stage in again.report.stages if not stage.cached] == ["predict"]


def test_no_photograph_is_decoded_for_a_network(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("network images were made")

    monkeypatch.setattr(stages, "network_images", refuse)
    path = brought.save(tmp_path / "theirs.npz", SAID)
    result = reconstruct(room, tmp_path / "out", _config(path, until="predict"))
    assert result.report.status == "stopped"


def test_centre_origin_gives_the_same_model_as_corner_origin(room: Path, tmp_path: Path) -> None:
    tracks = brought.tracked(VIEWS)
    only_given = TrackConfig(guided=False, refine=False)
    corner = brought.save(tmp_path / "theirs.npz", SAID, tracks=tracks)
    first = reconstruct(room, tmp_path / "a", _config(corner, ba=False, track=only_given))
    shifted = SAID["intrinsics"].copy()
    shifted[:, :2, 2] -= 0.5
    center = brought.save(
        tmp_path / "theirs.npz",
        SAID,
        tracks=tracks - 0.5,
        intrinsics=shifted,
        pixel_origin="center",
    )
    second = reconstruct(room, tmp_path / "b", _config(center, ba=False, track=only_given))
    assert first.report.num_points == second.report.num_points > 100
    for name in ("cameras.bin", "images.bin"):
        same = [(out / "sparse/0" / name).read_bytes() for out in (tmp_path / "a", tmp_path / "b")]
        assert same[0] == same[1], name
    unshifted = brought.save(tmp_path / "theirs.npz", SAID, tracks=tracks - 0.5)
    third = reconstruct(room, tmp_path / "c", _config(unshifted, ba=False, track=only_given))
    images = [
        (out / "sparse/0/images.bin").read_bytes() for out in (tmp_path / "a", tmp_path / "c")
    ]
    assert images[0] != images[1]
    assert third.report.num_points > 100


def test_photographs_without_a_name_are_left_out_and_listed(room: Path, tmp_path: Path) -> None:
    three = {key: array[1:4] for key, array in SAID.items()}
    order = [2, 0, 1]  # not that of the folder
    path = brought.save(tmp_path / "p.npz", {key: array[order] for key, array in three.items()})
    result = reconstruct(room, tmp_path / "out", _config(path, ba=False))
    skipped = {entry.name: entry.reason for entry in result.report.skipped}
    assert skipped == dict.fromkeys(["img1.jpg", "img5.jpg"], "p.npz does not name it")
    poses = poses_by_name(result.reconstruction())
    for name, pose in zip(three["names"], three["cam_from_world"], strict=True):
        np.testing.assert_allclose(poses[f"{name}.jpg"], pose, atol=SEED_POSES)


def test_contradictions_are_one_line(room: Path, tmp_path: Path) -> None:
    path = tmp_path / "theirs.npz"
    config = _config(path)
    brought.save(path, SAID, cam_from_world=invert(SAID["cam_from_world"]))
    with pytest.raises(InputError, match=r"theirs\.npz: cam_from_world looks like world_from_cam"):
        reconstruct(room, tmp_path / "out", config)
    brought.save(path, SAID, names=np.array(["img1", "img2", "img3", "img4", "x"]))
    with pytest.raises(InputError, match=r"theirs\.npz: names: no photograph for 1 of 5 .*\(x\)"):
        reconstruct(room, tmp_path / "out", config)
    square = SAID["depth"][:, :, 25:175]
    shifted = SAID["intrinsics"] - np.array([[0, 0, 25], [0, 0, 0], [0, 0, 0]])
    brought.save(path, SAID, depth=square, intrinsics=shifted)
    with pytest.raises(InputError, match=r"150 x 150 px, drawn over img1\.jpg .* neither cropped"):
        reconstruct(room, tmp_path / "out", config)


def test_far_from_everything_is_remarked_and_so_are_keys_without_meaning(
    room: Path, tmp_path: Path
) -> None:
    far = SAID["cam_from_world"] * ([1.0] * 3 + [40.0])
    path = brought.save(tmp_path / "p.npz", SAID, cam_from_world=far, world_points=np.zeros(3))
    result = reconstruct(room, tmp_path / "out", _config(path, ba=False))
    first, second = result.report.remarks
    assert first.startswith("p.npz: depth of neighbouring photographs agrees at")
    assert second == "p.npz: not used: world_points"


def test_options_of_a_network_are_refused_beside_a_file() -> None:
    with pytest.raises(ValueError, match="leave out preprocess"):
        ReconstructConfig(from_npz=Path("p.npz"), ingest=IngestConfig(preprocess="pad"))
