"""3D seeds from predicted depth and cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from synthetic import plain_scene, synthetic_scene

from vggt_sfm.geometry.rigid import transform_points
from vggt_sfm.scene import Predictions, Size
from vggt_sfm.tracking.linking import Observations
from vggt_sfm.tracking.seeding import sample_depth, seed_points

Float64 = NDArray[np.float64]


def test_bilinear_depth_agrees_with_a_loop(rng: np.random.Generator) -> None:
    depth = rng.uniform(1, 2, (5, 7)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.3] = 0
    for x, y in rng.uniform([0, 0], [7, 5], (100, 2)):
        total, weight = 0.0, 0.0
        for row in range(5):
            for column in range(7):
                # Beyond the outermost centres the border pixel goes on.
                dx = abs(np.clip(x, 0.5, 6.5) - column - 0.5)
                dy = abs(np.clip(y, 0.5, 4.5) - row - 0.5)
                share = max(0.0, 1 - dx) * max(0.0, 1 - dy) * (depth[row, column] > 0)
                total, weight = total + share * depth[row, column], weight + share
        (found,) = sample_depth(depth, np.array([[x, y]]))
        if weight < 1e-12:
            assert np.isnan(found)
        else:
            np.testing.assert_allclose(found, total / weight, rtol=1e-6)


def test_depth_outside_the_map_is_unknown() -> None:
    depth = np.ones((5, 7), np.float32)
    xy = np.array([[-0.1, 2], [7.1, 2], [3, 5.1], [7, 5]])
    np.testing.assert_array_equal(np.isnan(sample_depth(depth, xy)), [True, True, True, False])


def one_track(depths: list[float], confidences: list[float]) -> Float64:
    """Seed a track that runs along one camera ray with a different depth in every view."""
    count, size = len(depths), Size(40, 40)
    confidence = np.ones((count, 20, 20), np.float32)
    for s, value in enumerate(confidences):
        confidence[s, 10, 10] = value
    predictions = Predictions(
        cam_from_world=np.tile(np.eye(3, 4), (count, 1, 1)),
        intrinsics=np.tile(np.array([[20.0, 0, 10], [0, 20, 10], [0, 0, 1]]), (count, 1, 1)),
        depth=np.stack([np.full((20, 20), depth, np.float32) for depth in depths]),
        depth_confidence=confidence,
        camera_sources=("test",) * count,
    )
    observations = Observations(
        np.zeros(count, np.int64),
        np.arange(count),
        np.full((count, 2), 21.0),
        np.zeros(count, np.uint8),
    )
    return seed_points(plain_scene(count, size), predictions, observations)


def test_one_gross_depth_does_not_move_a_track_of_three() -> None:
    (seed,) = one_track([2.0, 2.1, 90.0], [1, 1, 1])
    np.testing.assert_allclose(seed[2], 2.1, rtol=1e-6)


def test_two_equal_views_meet_in_the_middle_and_confidence_decides_between_unequal_ones() -> None:
    (seed,) = one_track([2.0, 3.0], [1, 1])
    np.testing.assert_allclose(seed[2], 2.5, rtol=1e-6)
    (seed,) = one_track([2.0, 3.0], [1, 0.5])
    np.testing.assert_allclose(seed[2], 2.0, rtol=1e-6)


def test_unknown_depth_is_left_out_and_a_track_without_any_is_nan() -> None:
    (seed,) = one_track([0.0, 3.0, 0.0], [1, 1, 1])
    np.testing.assert_allclose(seed[2], 3.0, rtol=1e-6)
    assert np.isnan(one_track([0.0, 0.0], [1, 1])).all()


def test_exact_depth_and_cameras_give_the_exact_points() -> None:
    data = synthetic_scene(num_frames=4, num_points=40)
    tracks = data.tracks
    observations = Observations(
        tracks.track_index, tracks.frame_index, tracks.xy, np.zeros(len(tracks.xy), np.uint8)
    )
    # A depth map that is exact at one observation only, so a track at a time.
    for n in range(0, len(data.xyz), 7):
        rows = np.flatnonzero(tracks.track_index == n)
        depth = data.predictions.depth.copy()
        for s in tracks.frame_index[rows]:
            depth[s] = transform_points(data.cam_from_world[s], data.xyz[n])[2]
        seeds = seed_points(data.scene, replace(data.predictions, depth=depth), observations)
        np.testing.assert_allclose(seeds[n], data.xyz[n], atol=1e-6)


def test_world_points_stand_for_depth_where_there_are_some() -> None:
    data = synthetic_scene(num_frames=3, num_points=50)
    observations = Observations(
        data.tracks.track_index,
        data.tracks.frame_index,
        data.tracks.xy,
        np.zeros(len(data.tracks.xy), np.uint8),
    )
    y, x = np.mgrid[:150, :200].astype(np.float32) + np.float32(0.5)
    points = np.tile(np.stack([x, y, 3 * x], axis=-1), (3, 1, 1, 1))
    confidence = np.ones((3, 150, 200), np.float32)
    only_first = observations.frame_index == 0
    first = Observations(*(part[only_first] for part in observations))
    xyz = seed_points(
        data.scene,
        replace(data.predictions, world_points=points, world_points_confidence=confidence),
        first,
    )
    xy = first.xy / 2
    expected = np.full((first.track_index.max() + 1, 3), np.nan)
    expected[first.track_index] = np.column_stack([xy, 3 * xy[:, 0]])
    inside = ((xy > 0.5) & (xy < (199.5, 149.5))).all(axis=1)
    rows = first.track_index[inside]
    np.testing.assert_allclose(xyz[rows], expected[rows], rtol=1e-5)


def test_nowhere_has_no_depth() -> None:
    depth = np.ones((4, 5), np.float32)
    xy = np.array([[np.nan, 1.0], [np.inf, 1.0], [2.0, 2.0]])
    np.testing.assert_array_equal(sample_depth(depth, xy), [np.nan, np.nan, 1.0])


def test_observations_that_are_nowhere_and_cameras_without_focal_length_give_no_seed() -> None:
    data = synthetic_scene(num_frames=2, num_points=20)
    xy = data.tracks.xy.copy()
    xy[data.tracks.track_index == 0] = np.nan
    xy[data.tracks.track_index == 1] = np.inf
    observations = Observations(
        data.tracks.track_index, data.tracks.frame_index, xy, np.zeros(len(xy), np.uint8)
    )
    seeds = seed_points(data.scene, data.predictions, observations)
    assert np.isnan(seeds[:2]).all()
    assert np.isfinite(seeds[2:]).all()
    flat = replace(data.predictions, intrinsics=np.zeros((2, 3, 3)))
    assert np.isnan(seed_points(data.scene, flat, observations)).all()


def test_infinite_depth_is_unknown_without_a_warning() -> None:
    (seed,) = one_track([np.inf, 3.0, np.inf], [1, 1, 1])
    np.testing.assert_allclose(seed[2], 3.0, rtol=1e-6)
