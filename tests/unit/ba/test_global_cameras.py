"""Cameras from tracks alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pycolmap
import pytest
from adjusting import auc5, seeded
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from synthetic import SyntheticScene, synthetic_scene

from vggt_sfm.ba.bundle import Bundle, read_bundle
from vggt_sfm.ba.global_cameras import GlobalCameras, global_cameras

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]


def misled(data: SyntheticScene, seed: int = 0) -> Bundle:
    """Return a scene whose predicted poses and points are pure chance."""
    bundle, rng = read_bundle(seeded(data)), np.random.default_rng(seed)
    poses = bundle.cam_from_world.copy()
    poses[:, :, :3] = Rotation.random(len(poses), rng=rng).as_matrix()
    poses[:, :, 3] = rng.normal(size=(len(poses), 3))
    return replace(bundle, cam_from_world=poses, xyz=rng.normal(size=bundle.xyz.shape))


def noisy(num_frames: int = 6, seed: int = 0) -> SyntheticScene:
    return synthetic_scene(
        num_frames=num_frames,
        num_points=150,
        arc_deg=12.0 * num_frames,
        pixel_noise=0.3,
        outliers=0.1,
        seed=seed,
    )


def found(bundle: Bundle, active: Bool | None = None, seed: int = 0) -> GlobalCameras | None:
    active = np.ones(len(bundle.xy), bool) if active is None else active
    return global_cameras(bundle, active, px=400 / 518, seed=seed)


@pytest.mark.parametrize("seed", range(2))
def test_cameras_are_found_where_the_prediction_is_all_wrong(seed: int) -> None:
    data = noisy(seed=seed)
    bundle = misled(data, seed)
    assert auc5(bundle.cam_from_world, data) < 10
    cameras = found(bundle)
    assert cameras is not None
    assert cameras.placed.all()
    assert cameras.pairs == cameras.agreeing_pairs == 15
    assert auc5(cameras.cam_from_world, data) > 80


def test_equal_inputs_give_equal_cameras_whatever_was_predicted() -> None:
    data = noisy(4)
    first, second = found(misled(data, 1)), found(misled(data, 2))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.cam_from_world, second.cam_from_world)


def test_the_largest_of_two_sets_is_placed() -> None:
    data = noisy(num_frames=7)
    bundle = misled(data)
    small = np.isin(bundle.image_of, [1, 4, 6])
    cameras = found(bundle, small == (bundle.point_of < 60))
    assert cameras is not None
    np.testing.assert_array_equal(cameras.placed, [True, False, True, True, False, True, False])
    np.testing.assert_array_equal(np.isfinite(cameras.cam_from_world).all((1, 2)), cameras.placed)
    rows = np.flatnonzero(cameras.placed)
    placed = replace(data, cam_from_world=data.cam_from_world[rows])
    assert auc5(cameras.cam_from_world[rows], placed) > 80


def test_two_sets_that_only_a_pair_of_images_ties_are_not_put_together() -> None:
    # The tie is enough for a relative pose, but it has no length.
    bundle = misled(synthetic_scene(num_frames=7, num_points=300, arc_deg=80))
    first = (bundle.image_of < 4) & (bundle.point_of < 130)
    second = (bundle.image_of >= 4) & (bundle.point_of >= 130) & (bundle.point_of < 260)
    tie = np.isin(bundle.image_of, [3, 4]) & (bundle.point_of >= 260)
    cameras = found(bundle, first | second | tie)
    assert cameras is not None
    np.testing.assert_array_equal(np.flatnonzero(cameras.placed), range(4))


def test_an_image_whose_tracks_are_all_wrong_is_left_out() -> None:
    bundle = misled(noisy(5))
    xy, rows = bundle.xy.copy(), np.flatnonzero(bundle.image_of == 2)
    xy[rows] = np.random.default_rng(0).uniform(0, 300, (len(rows), 2))
    xy[0] = np.nan
    cameras = found(replace(bundle, xy=xy))
    assert cameras is not None
    np.testing.assert_array_equal(cameras.placed, [True, True, False, True, True])


def test_three_images_are_enough_and_two_are_not() -> None:
    data = noisy(num_frames=3)
    bundle = misled(data)
    cameras = found(bundle)
    assert cameras is not None
    assert auc5(cameras.cam_from_world, data) > 80
    assert found(bundle, bundle.image_of < 2) is None


def test_what_says_nothing_gives_no_cameras() -> None:
    bundle = misled(noisy(4))
    assert found(bundle, np.zeros(len(bundle.xy), bool)) is None
    assert found(bundle, bundle.point_of < 10) is None
    assert found(replace(bundle, xy=np.full_like(bundle.xy, np.nan))) is None
    chance = np.random.default_rng(0).uniform(0, 300, bundle.xy.shape)
    assert found(replace(bundle, xy=chance)) is None


def test_equal_images_end_without_harm() -> None:
    bundle = misled(noisy(4))
    cameras = found(
        replace(bundle, xy=bundle.xy[np.searchsorted(bundle.point_of, bundle.point_of)])
    )
    assert cameras is None or np.isfinite(cameras.cam_from_world[cameras.placed]).all()


def test_impossible_intrinsics_give_no_cameras() -> None:
    bundle = misled(noisy(3))
    for focal in (0.0, np.nan):
        camera = pycolmap.Camera(bundle.cameras[0].todict())
        camera.params = [focal, *camera.params[1:]]
        assert found(replace(bundle, cameras=(camera,))) is None
