"""The feed-forward model before any adjustment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pycolmap
import pytest
from synthetic import SyntheticScene, synthetic_scene, with_frames

from vggt_sfm.ba.config import SeedConfig
from vggt_sfm.ba.seed import drop_points_behind_cameras, seed_reconstruction
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.scene import Scene, Tracks


def seeded(data: SyntheticScene, **options: Any) -> pycolmap.Reconstruction:
    return seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig(**options))


def test_an_exact_scene_gives_an_exact_model_in_original_pixels() -> None:
    data = synthetic_scene(num_frames=5)
    model = seeded(data)
    assert [model.image(s + 1).name for s in range(5)] == [f.name for f in data.scene.frames]
    for s in range(5):
        np.testing.assert_allclose(
            model.image(s + 1).cam_from_world().matrix(), data.cam_from_world[s], atol=1e-12
        )
    (camera,) = model.cameras.values()
    assert (camera.model_name, camera.width, camera.height) == ("SIMPLE_PINHOLE", 400, 300)
    np.testing.assert_allclose(camera.params, [440, 200, 150], atol=1e-9)
    assert model.num_points3D() == len(data.xyz)
    assert model.compute_num_observations() == len(data.tracks.xy)
    assert model.compute_mean_reprojection_error() < 1e-9
    for n in range(len(data.xyz)):
        np.testing.assert_array_equal(model.point3D(n + 1).color, data.tracks.color[n])


def test_rigs_and_frames_are_trivial() -> None:
    model = seeded(synthetic_scene(num_frames=3))
    assert sorted(model.rigs) == [1]
    assert sorted(model.frames) == [1, 2, 3]
    assert [model.image(i).frame_id for i in (1, 2, 3)] == [1, 2, 3]


def test_equal_keys_share_a_camera_with_the_median_focal_length() -> None:
    data = with_frames(synthetic_scene(num_frames=5), camera_key=["b", "a", "b", "b", ""])
    intrinsics = data.predictions.intrinsics.copy()
    intrinsics[:, (0, 1), (0, 1)] = np.array([100, 999, 110, 500, 7])[:, None]
    data = replace(data, predictions=replace(data.predictions, intrinsics=intrinsics))
    model = seeded(data)
    assert [model.image(s + 1).camera_id for s in range(5)] == [1, 2, 1, 1, 3]
    focals = [model.camera(c).focal_length for c in (1, 2, 3)]
    np.testing.assert_allclose(focals, [220, 1998, 14])  # network pixels are twice as large
    assert seeded(with_frames(data, camera_key=[""] * 5)).num_cameras() == 5


def test_exif_focal_lengths_win_where_they_are_known() -> None:
    data = with_frames(
        synthetic_scene(num_frames=3),
        camera_key=["a", "a", "b"],
        focal_prior_px=[350.0, None, None],
    )
    model = seeded(data)
    np.testing.assert_allclose(
        [model.camera(1).focal_length, model.camera(2).focal_length], [350, 440]
    )
    assert model.camera(1).has_prior_focal_length
    assert not model.camera(2).has_prior_focal_length
    assert seeded(data, exif_focal=False).camera(1).focal_length == pytest.approx(440)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("PINHOLE", [440, 440, 200, 150]),
        ("SIMPLE_RADIAL", [440, 200, 150, 0]),
        ("RADIAL", [440, 200, 150, 0, 0]),
        ("OPENCV", [440, 440, 200, 150, 0, 0, 0, 0]),
        ("OPENCV_FISHEYE", [440, 440, 200, 150, 0, 0, 0, 0]),
    ],
)
def test_other_camera_models(name: str, params: list[float]) -> None:
    (camera,) = seeded(synthetic_scene(num_frames=2), camera_model=name).cameras.values()
    assert camera.model_name == name
    np.testing.assert_allclose(camera.params, params, atol=1e-9)


def test_observations_outside_their_image_or_not_finite_are_left_out() -> None:
    data = synthetic_scene(num_frames=4, num_points=50)
    xy, xyz = data.tracks.xy.copy(), data.tracks.xyz.copy()
    first_of_track = np.searchsorted(data.tracks.track_index, np.arange(len(xyz)))
    xy[first_of_track[0]] = [-0.5, 10]
    xy[first_of_track[1]] = [10, 300.5]
    xy[first_of_track[2]] = [np.nan, 10]
    xy[first_of_track[3] : first_of_track[4] - 1] = 1e4  # one observation left: no point
    xyz[4] = np.nan
    model = seeded(replace(data, tracks=replace(data.tracks, xy=xy, xyz=xyz)))
    length = np.bincount(data.tracks.track_index)
    assert model.num_points3D() == len(xyz) - 2
    assert [model.point3D(n).track.length() for n in (1, 2, 3)] == (length[:3] - 1).tolist()
    for image in model.images.values():
        pixels = np.array([point.xy for point in image.points2D])
        assert ((pixels >= 0) & (pixels <= [400, 300])).all()
        assert image.num_points3D == image.num_points2D()


def test_frames_without_observations_are_in_the_model_with_their_pose() -> None:
    data = synthetic_scene(num_frames=3)
    rows = data.tracks.frame_index != 1
    tracks = replace(
        data.tracks,
        track_index=data.tracks.track_index[rows],
        frame_index=data.tracks.frame_index[rows],
        xy=data.tracks.xy[rows],
    )
    model = seeded(replace(data, tracks=tracks))
    assert model.image(2).num_points2D() == 0
    assert model.image(2).has_pose
    np.testing.assert_allclose(
        model.image(2).cam_from_world().matrix(), data.cam_from_world[1], atol=1e-12
    )


@pytest.mark.parametrize("num_frames", [1, 2])
def test_no_tracks(num_frames: int) -> None:
    data = synthetic_scene(num_frames=num_frames)
    none = Tracks(
        track_index=np.empty(0, np.int64),
        frame_index=np.empty(0, np.int64),
        xy=np.empty((0, 2)),
        xyz=np.empty((0, 3)),
        color=np.empty((0, 3), np.uint8),
        source=np.empty(0, np.uint8),
        source_names=(),
    )
    model = seeded(replace(data, tracks=none))
    assert model.num_reg_images() == num_frames
    assert model.num_points3D() == 0


def test_points_behind_a_camera_are_not_exported() -> None:
    data = synthetic_scene(num_frames=4, num_points=40)
    model = seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig())
    image = model.image(1)
    hidden = next(point.point3D_id for point in image.points2D if point.has_point3D())
    behind = image.cam_from_world().inverse() * np.array([[0.1, 0.1, -3.0]])
    model.point3D(hidden).xyz = behind[0]
    before = model.compute_num_observations()
    visible = drop_points_behind_cameras(model)
    assert model.compute_num_observations() == before
    assert visible.compute_num_observations() < before
    assert visible.compute_mean_reprojection_error() < 1e6
    for other in visible.images.values():
        for point in other.points2D:
            if point.has_point3D():
                xyz = visible.point3D(point.point3D_id).xyz
                assert (other.cam_from_world() * xyz[None])[0, 2] > 0


@pytest.mark.parametrize("focal", [0.0, -300.0, 1e9, 1e-9, 1e300])
def test_impossible_focal_lengths_do_not_count(focal: float) -> None:
    data = synthetic_scene(num_frames=3)
    intrinsics = data.predictions.intrinsics.copy()
    intrinsics[0, (0, 1), (0, 1)] = focal
    one = replace(data, predictions=replace(data.predictions, intrinsics=intrinsics))
    assert seeded(one).camera(1).focal_length == pytest.approx(440)
    own = seeded(with_frames(one, camera_key=[""] * 3))
    focals = [own.camera(c).focal_length for c in (1, 2, 3)]
    assert focals == pytest.approx([1.2 * 400, 440, 440])


@pytest.mark.parametrize("prior", [0.0, -300.0, np.nan, np.inf, 1e12])
def test_impossible_focal_lengths_from_exif_do_not_count(prior: float) -> None:
    data = with_frames(synthetic_scene(num_frames=2), focal_prior_px=[prior, prior])
    camera = seeded(data).camera(1)
    assert camera.focal_length == pytest.approx(440)
    assert not camera.has_prior_focal_length


def test_an_impossible_principal_point_becomes_the_middle() -> None:
    data = synthetic_scene(num_frames=2)
    intrinsics = data.predictions.intrinsics.copy()
    intrinsics[:, 0, 2] = 1e300
    data = replace(data, predictions=replace(data.predictions, intrinsics=intrinsics))
    np.testing.assert_allclose(seeded(data).camera(1).params, [440, 200, 150])


def test_points_too_far_for_an_error_are_left_out() -> None:
    data = synthetic_scene(num_frames=3, num_points=20)
    xyz = data.tracks.xyz.copy()
    xyz[3] = [1e300, 0, 0]
    model = seeded(replace(data, tracks=replace(data.tracks, xyz=xyz)))
    assert model.num_points3D() == len(xyz) - 1
    assert np.isfinite([point.error for point in model.points3D.values()]).all()


def test_a_point_in_a_camera_centre_is_not_exported() -> None:
    data = synthetic_scene(num_frames=4, num_points=40)
    xyz = data.tracks.xyz.copy()
    xyz[:] = invert(data.cam_from_world)[data.tracks.frame_index[0], :, 3]
    model = drop_points_behind_cameras(seeded(replace(data, tracks=replace(data.tracks, xyz=xyz))))
    assert all(point.error < 1e6 for point in model.points3D.values())


def test_no_image_at_all_is_an_input_error() -> None:
    data = synthetic_scene(num_frames=1, num_points=5)
    none = Scene(frames=(), pixel_maps=())
    with pytest.raises(InputError, match="has none"):
        seeded(replace(data, scene=none))


def test_tracks_of_another_scene_are_refused() -> None:
    data = synthetic_scene(num_frames=4)
    fewer = Scene(frames=data.scene.frames[:3], pixel_maps=data.scene.pixel_maps[:3])
    with pytest.raises(ValueError, match="more than the scene's 3 frames"):
        seeded(replace(data, scene=fewer))
