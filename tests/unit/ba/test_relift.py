"""Other cameras for a seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pycolmap
import pytest
from adjusting import seeded
from scipy.spatial.transform import Rotation
from synthetic import disturbed, synthetic_scene

from vggt_sfm.ba.bundle import Bundle, depths, measure, read_bundle
from vggt_sfm.ba.gauge import transform
from vggt_sfm.ba.relift import with_cameras

_ROUNDING = 1e-9  # px and scene units
_TURN = Rotation.from_rotvec([0.4, -1.0, 0.7]).as_matrix()


def exact() -> Bundle:
    return read_bundle(seeded(synthetic_scene(num_frames=6, num_points=80)))


def moved(bundle: Bundle, scale: float) -> Bundle:
    """Return the same scene in another world."""
    return transform(bundle, scale, _TURN, np.array([5.0, -3.0, 8.0]))


def test_the_seeds_own_cameras_change_nothing() -> None:
    seed = exact()
    same = with_cameras(seed, seed.cam_from_world, seed.cameras)
    np.testing.assert_allclose(same.cam_from_world, seed.cam_from_world, atol=_ROUNDING)
    np.testing.assert_allclose(same.xyz, seed.xyz, atol=_ROUNDING)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 70.0])
def test_another_world_is_brought_to_the_seeds(scale: float) -> None:
    seed = exact()
    back = with_cameras(seed, moved(seed, scale).cam_from_world, seed.cameras)
    np.testing.assert_allclose(back.cam_from_world, seed.cam_from_world, atol=_ROUNDING)
    np.testing.assert_allclose(back.xyz, seed.xyz, atol=_ROUNDING)


def test_most_images_decide_about_the_world_and_each_keeps_its_depth() -> None:
    truth = exact()
    wrong = truth.cam_from_world.copy()
    wrong[:2, :, :3] = _TURN @ wrong[:2, :, :3]
    wrong[:2, :, 3] += 4.0
    seed = replace(truth, cam_from_world=wrong)
    found = with_cameras(seed, moved(truth, 0.2).cam_from_world, seed.cameras, depths(truth))
    np.testing.assert_allclose(found.cam_from_world, truth.cam_from_world, atol=_ROUNDING)
    np.testing.assert_allclose(found.xyz, truth.xyz, atol=_ROUNDING)


def test_noisy_depth_gives_the_scale_and_nearly_the_points() -> None:
    truth = exact()
    depth = depths(truth) * (1 + 0.1 * np.random.default_rng(0).normal(size=len(truth.xy)))
    depth[::7], depth[1::7] = np.nan, -1.0
    found = with_cameras(truth, moved(truth, 0.2).cam_from_world, truth.cameras, depth)
    length = np.linalg.norm(found.cam_from_world[0, :, 3] - found.cam_from_world[-1, :, 3])
    true_length = np.linalg.norm(truth.cam_from_world[0, :, 3] - truth.cam_from_world[-1, :, 3])
    assert length == pytest.approx(true_length, rel=0.05)
    assert np.median(np.linalg.norm(found.xyz - truth.xyz, axis=1)) < 0.4  # of a distance of 5


def test_images_without_a_new_pose_keep_the_predicted_one() -> None:
    seed = exact()
    poses = moved(seed, 3.0).cam_from_world.copy()
    poses[[1, 4]] = np.nan
    found = with_cameras(seed, poses, seed.cameras)
    np.testing.assert_array_equal(found.cam_from_world[[1, 4]], seed.cam_from_world[[1, 4]])
    np.testing.assert_allclose(found.cam_from_world, seed.cam_from_world, atol=_ROUNDING)
    nothing = with_cameras(seed, np.full_like(poses, np.nan), seed.cameras)
    np.testing.assert_array_equal(nothing.cam_from_world, seed.cam_from_world)


def test_new_focal_lengths_move_the_points_on_new_rays() -> None:
    data = synthetic_scene(num_frames=6, num_points=80)
    seed = read_bundle(seeded(disturbed(data, focal=1.4)))
    true_cameras = read_bundle(seeded(data)).cameras
    found = with_cameras(seed, data.cam_from_world, true_cameras, depths(seed))
    assert np.median(measure(seed)[0]) > 10
    assert measure(found)[0].max() < _ROUNDING * 100
    assert found.cameras[0].params[0] == true_cameras[0].params[0]


def test_cameras_in_one_place_stay_finite() -> None:
    seed = exact()
    poses = seed.cam_from_world.copy()
    poses[:, :, 3] = 0
    found = with_cameras(seed, poses, seed.cameras)
    assert np.isfinite(found.cam_from_world).all()
    assert np.isfinite(found.xyz).all()


def test_points_without_depth_stay() -> None:
    seed = exact()
    depth = np.where(seed.point_of < 5, np.nan, depths(seed))
    found = with_cameras(seed, moved(seed, 3.0).cam_from_world, seed.cameras, depth)
    np.testing.assert_array_equal(found.xyz[:5], seed.xyz[:5])


def test_shapes_are_checked() -> None:
    seed = exact()
    with pytest.raises(ValueError, match=r"cam_from_world: expected shape \(S, 3, 4\)"):
        with_cameras(seed, seed.cam_from_world[:2], seed.cameras)
    with pytest.raises(ValueError, match="depth: expected shape"):
        with_cameras(seed, seed.cam_from_world, seed.cameras, np.ones(3))
    with pytest.raises(ValueError, match="2 cameras instead of 1"):
        with_cameras(seed, seed.cam_from_world, (pycolmap.Camera(), pycolmap.Camera()))
