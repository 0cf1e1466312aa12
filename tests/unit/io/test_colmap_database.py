"""Databases that are written: what COLMAP finds in them, and what is read back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from synthetic import SyntheticScene, disturbed, synthetic_scene

from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.config import SeedConfig
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.io.colmap_database import check_replaceable, write_database
from vggt_sfm.metrics.pose import relative_pose_errors
from vggt_sfm.tracking.build import build_tracks
from vggt_sfm.tracking.config import TrackConfig


def model_of(data: SyntheticScene) -> pycolmap.Reconstruction:
    return seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig())


def saved(path: Path, data: SyntheticScene) -> Path:
    write_database(path, data.scene, data.tracks, model_of(data))
    return path


def test_everything_is_that_of_the_model_and_the_tracks(tmp_path: Path) -> None:
    data = synthetic_scene(num_frames=5, num_points=60)
    model = model_of(data)
    path = saved(tmp_path / "database.db", data)
    assert [file.name for file in tmp_path.iterdir()] == ["database.db"]
    frames_of = [
        set(data.tracks.frame_index[data.tracks.track_index == n]) for n in range(len(data.xyz))
    ]
    with pycolmap.Database.open(path) as database:
        assert database.num_cameras() == database.num_rigs() == 1
        assert database.num_frames() == 5
        for image in database.read_all_images():
            twin = model.image(image.image_id)
            assert (image.name, image.camera_id, image.frame_id) == (
                twin.name,
                twin.camera_id,
                twin.frame_id,
            )
            assert image.camera_id == 1
            expected = np.array([point.xy for point in twin.points2D], np.float32)
            np.testing.assert_array_equal(database.read_keypoints(image.image_id), expected)
        np.testing.assert_array_equal(database.read_camera(1).params, model.camera(1).params)
        for i in range(5):
            for j in range(i + 1, 5):
                rows = database.read_matches(i + 1, j + 1)
                first, second = (model.image(s + 1) for s in (i, j))
                points = [
                    (first.points2D[a].point3D_id, second.points2D[b].point3D_id) for a, b in rows
                ]
                assert all(a == b for a, b in points)
                assert len(points) == sum({i, j} <= frames for frames in frames_of) > 10
                geometry = database.read_two_view_geometry(i + 1, j + 1)
                np.testing.assert_array_equal(geometry.inlier_matches, rows)
                assert geometry.config == int(pycolmap.TwoViewGeometryConfiguration.CALIBRATED)
                a, b = (
                    np.column_stack(
                        [database.read_keypoints(s + 1)[rows[:, k]], np.ones(len(rows))]
                    )
                    for k, s in enumerate((i, j))
                )
                lines = a @ geometry.F.T
                off = np.abs((lines * b).sum(axis=1)) / np.linalg.norm(lines[:, :2], axis=1)
                assert off.max() < 1e-2  # positions are kept in single precision


def test_colmap_maps_incrementally_from_it(tmp_path: Path) -> None:
    data = synthetic_scene(num_frames=6, num_points=120, pixel_noise=0.3)
    path = saved(tmp_path / "database.db", data)
    (tmp_path / "images").mkdir()
    options = pycolmap.IncrementalPipelineOptions()
    options.extract_colors = False
    options.num_threads = 1
    models = pycolmap.incremental_mapping(path, tmp_path / "images", tmp_path, options)
    assert [model.num_reg_images() for model in models.values()] == [6]
    poses = poses_by_name(models[0])
    found = np.stack([poses[frame.name] for frame in data.scene.frames])
    errors = relative_pose_errors(found, data.cam_from_world, fold_translation=False)
    assert np.max(errors.pose_deg) < 1


def test_read_in_again_it_gives_the_same_tracks(tmp_path: Path) -> None:
    data = synthetic_scene(num_frames=5, num_points=80, pixel_noise=0.5, outliers=0.02)
    again = build_tracks(
        TrackConfig(sift=False, predicted=False, database=saved(tmp_path / "d.db", data)),
        data.scene,
        data.predictions,
        SilentProgress(),
        read_image=lambda frame: np.zeros((300, 400, 3), np.uint8),
        read_mask=lambda frame: None,
    )
    inside = (data.tracks.xy >= 0).all(axis=1) & (data.tracks.xy <= [400, 300]).all(axis=1)
    assert inside.mean() > 0.95

    def as_sets(track: np.ndarray, frame: np.ndarray, xy: np.ndarray) -> set[frozenset[object]]:
        seen: dict[int, set[object]] = {}
        for n, s, position in zip(track, frame, xy.astype(np.float32), strict=True):
            seen.setdefault(int(n), set()).add((int(s), *position.tolist()))
        return {frozenset(views) for views in seen.values() if len(views) > 1}

    before = (data.tracks.track_index, data.tracks.frame_index, data.tracks.xy)
    assert as_sets(*(part[inside] for part in before)) == as_sets(
        again.track_index, again.frame_index, again.xy
    )


def test_poses_that_the_matches_contradict_are_not_told(tmp_path: Path) -> None:
    rough = disturbed(synthetic_scene(num_frames=3, num_points=60), rotation_deg=10)
    with pycolmap.Database.open(saved(tmp_path / "d.db", rough)) as database:
        geometry = database.read_two_view_geometry(1, 2)
    assert geometry.config == int(pycolmap.TwoViewGeometryConfiguration.UNCALIBRATED)
    assert geometry.E is None
    assert geometry.F is None
    assert len(geometry.inlier_matches) > 10


def test_equal_inputs_give_equal_bytes_and_an_older_file_is_replaced(tmp_path: Path) -> None:
    data = synthetic_scene(num_frames=3, num_points=40)
    path = saved(tmp_path / "database.db", synthetic_scene(num_frames=4, num_points=30))
    (tmp_path / ".database.db.tmp").write_bytes(b"of a run that was killed")
    (tmp_path / "database.db-wal").write_bytes(b"of the old file")
    saved(path, data)
    assert [file.name for file in tmp_path.iterdir()] == ["database.db"]
    assert path.read_bytes() == saved(tmp_path / "other.db", data).read_bytes()


def test_a_scene_without_tracks_can_be_saved(tmp_path: Path) -> None:
    data = synthetic_scene(num_frames=2, num_points=0)
    with pycolmap.Database.open(saved(tmp_path / "d.db", data)) as database:
        assert database.num_images() == 2
        assert database.num_matched_image_pairs() == 0


def test_a_database_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "database.db"
    check_replaceable(path, None)
    data = synthetic_scene(num_frames=2, num_points=10)
    check_replaceable(saved(path, data), tmp_path / "other.db")
    (tmp_path / "same.db").symlink_to(path)
    with pytest.raises(InputError, match=r"which --database reads; choose another folder with -o"):
        check_replaceable(path, tmp_path / "same.db")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA application_id = 0")
    with pytest.raises(InputError, match=r"database\.db, which vggt-sfm did not write; move it"):
        check_replaceable(path, None)
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="did not write"):
        check_replaceable(path, None)
