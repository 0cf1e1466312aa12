"""Which observations and points take part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from synthetic import SyntheticScene, disturbed, synthetic_scene

from vggt_sfm.ba.bundle import Bundle, measure, read_bundle
from vggt_sfm.ba.config import SeedConfig
from vggt_sfm.ba.gauge import align, transform, unit_size
from vggt_sfm.ba.relift import lift_points
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.ba.selection import (
    balanced_points,
    good_observations,
    largest_component,
    with_two_views,
)

Bool = NDArray[np.bool_]


def bundle_of(data: SyntheticScene) -> Bundle:
    model = seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig())
    return read_bundle(model)


def all_of(bundle: Bundle) -> Bool:
    return np.ones(len(bundle.xy), bool)


def test_single_views_are_dropped() -> None:
    bundle = bundle_of(synthetic_scene(num_frames=3))
    active = bundle.image_of == 0
    assert not with_two_views(bundle, active).any()
    active |= (bundle.image_of == 1) & (bundle.point_of < 10)
    kept = with_two_views(bundle, active)
    assert set(bundle.point_of[kept]) <= set(range(10))
    np.testing.assert_array_equal(np.unique(np.bincount(bundle.point_of[kept])), [2])


def test_components_follow_shared_tracks() -> None:
    bundle = bundle_of(synthetic_scene(num_frames=6, num_points=100))
    # Points below 60 are seen by images 0, 2, 4, 5; the others by 1 and 3.
    first_group = np.isin(bundle.image_of, [0, 2, 4, 5])
    active = first_group == (bundle.point_of < 60)
    np.testing.assert_array_equal(
        largest_component(bundle, active), [True, False, True, False, True, True]
    )
    # Seven common tracks do not connect the groups; eight do.
    bridge = (bundle.image_of == 1) & (bundle.point_of < 7)
    assert largest_component(bundle, active | bridge).sum() == 4
    bridge = (bundle.image_of == 1) & (bundle.point_of < 8)
    assert largest_component(bundle, active | bridge).all()


def test_of_two_equal_components_the_one_with_more_observations_wins() -> None:
    bundle = bundle_of(synthetic_scene(num_frames=4, num_points=100))
    first_group = bundle.image_of < 2
    active = first_group == (bundle.point_of < 30)
    np.testing.assert_array_equal(largest_component(bundle, active), [False, False, True, True])


def test_outliers_and_points_behind_the_camera_are_not_good() -> None:
    bundle = bundle_of(synthetic_scene(num_frames=4, num_points=100))
    xy, xyz = bundle.xy.copy(), bundle.xyz.copy()
    xy[0] += 10
    xyz[5] = [0, 0, -50]
    bundle = replace(bundle, xy=xy, xyz=xyz)
    good = good_observations(bundle, measure(bundle)[0], all_of(bundle), 4.0, 1.0)
    assert not good[0]
    assert not good[bundle.point_of == 5].any()
    assert good[bundle.point_of > 5].all()


def test_narrow_scenes_are_not_emptied_but_far_points_go() -> None:
    data = synthetic_scene(num_frames=3, num_points=100, arc_deg=0.5)
    bundle = bundle_of(data)
    error = np.zeros(len(bundle.xy))
    assert good_observations(bundle, error, all_of(bundle), 4.0, 1.0).all()
    xyz = bundle.xyz.copy()
    xyz[0] = [0, 0, 1000]
    far = replace(bundle, xyz=xyz)
    good = good_observations(far, error, all_of(bundle), 4.0, 1.0)
    assert not good[bundle.point_of == 0].any()
    assert good[bundle.point_of != 0].all()


def test_no_candidates_are_no_error() -> None:
    bundle = bundle_of(synthetic_scene(num_frames=2))
    nothing = np.zeros(len(bundle.xy), bool)
    assert not good_observations(bundle, measure(bundle)[0], nothing, 4.0, 1.0).any()


def test_early_points_cover_every_image() -> None:
    bundle = bundle_of(synthetic_scene(num_frames=6, num_points=2000, arc_deg=120))
    chosen = balanced_points(bundle, all_of(bundle), 64)
    assert chosen.sum() < 6 * 64 + 1
    cell = np.floor(bundle.xy / [50, 37.5]).astype(int) @ [1, 8]
    for s in range(6):
        mine = bundle.image_of == s
        covered = np.unique(cell[mine & chosen[bundle.point_of]])
        assert len(covered) >= min(64, len(np.unique(cell[mine])))
    assert balanced_points(bundle, all_of(bundle), 10_000).all()


def test_early_points_prefer_long_tracks() -> None:
    bundle = bundle_of(synthetic_scene(num_frames=8, num_points=1000))
    # Half of the points are seen by two images only.
    active = (bundle.point_of % 2 == 0) | (bundle.image_of < 2)
    chosen = balanced_points(bundle, active, 64)
    assert np.mean(np.flatnonzero(chosen) % 2) < 0.2


def test_points_left_out_follow_the_cameras_that_moved() -> None:
    """A predicted world of half the size and another orientation is carried over exactly."""
    truth = bundle_of(synthetic_scene(num_frames=5, num_points=100))
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    seed = transform(truth, 0.5, turn, np.array([1.0, 2, 3]))
    moved = np.arange(100) < 50
    xyz = np.where(moved[:, None], truth.xyz, np.nan)
    lifted = lift_points(replace(truth, xyz=xyz), seed, all_of(truth), moved)
    np.testing.assert_allclose(lifted.xyz, truth.xyz, atol=1e-9)


def test_transform_keeps_projections_and_align_undoes_it() -> None:
    target = bundle_of(disturbed(synthetic_scene(num_frames=5), rotation_deg=3, depth=0.1))
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moved = transform(target, 7.0, turn, np.array([1.0, 2, 3]))
    np.testing.assert_allclose(measure(moved)[0], measure(target)[0], rtol=1e-6, atol=1e-9)
    images, active = np.ones(5, bool), all_of(target)
    back = align(moved, target, images, active)
    np.testing.assert_allclose(back.cam_from_world, target.cam_from_world, atol=1e-9)
    np.testing.assert_allclose(back.xyz, target.xyz, atol=1e-9)


def test_align_is_defined_for_two_images_in_one_place() -> None:
    target = bundle_of(synthetic_scene(num_frames=2))
    same_center = np.concatenate([target.cam_from_world[:, :, :3], np.zeros((2, 3, 1))], axis=2)
    target = replace(target, cam_from_world=same_center, xyz=target.xyz + np.array([0, 0, 5.0]))
    moved = transform(target, 3.0, np.diag([-1.0, -1, 1]), np.ones(3))
    back = align(moved, target, np.ones(2, bool), all_of(target))
    np.testing.assert_allclose(back.xyz, target.xyz, atol=1e-9)


def test_normalized_scenes_are_of_unit_size_wherever_they_were() -> None:
    bundle = bundle_of(synthetic_scene(num_frames=5))
    far = transform(bundle, 1e6, np.eye(3), np.full(3, 1e8))
    images, points = np.ones(5, bool), np.ones(len(bundle.xyz), bool)
    found = unit_size(far, images, points).move(far)
    assert np.abs(found.xyz).max() < 20
    np.testing.assert_allclose(
        found.xyz, unit_size(bundle, images, points).move(bundle).xyz, atol=1e-5
    )  # 1e8 leaves eight digits
