"""Synthetic photographs: exact where nothing is disturbed, and disturbed by as much as was said."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from vggt_sfm.benchmarks.disturbed import Errors, disturbed_depth, disturbed_poses
from vggt_sfm.benchmarks.synthetic import SIZE, Problem, Setup, problem
from vggt_sfm.geometry.rigid import compose, invert, rotation_angle_deg, transform_points

EXACT = Errors(gross_depth=0)


def reprojection_px(found: Problem, setup_k1: float) -> np.ndarray:
    """Errors of the seeds, in cameras as SIMPLE_RADIAL has them."""
    tracks = found.tracks
    at = transform_points(found.cam_from_world[tracks.frame_index], tracks.xyz[tracks.track_index])
    xy = at[:, :2] / at[:, 2:]
    xy *= 1 + setup_k1 * np.square(xy).sum(axis=1, keepdims=True)
    xy = xy * found.focal_px + np.array(SIZE) / 2
    return np.asarray(np.linalg.norm(xy - tracks.xy, axis=1))


@pytest.mark.parametrize("layout", ["orbit", "walk"])
def test_without_errors_every_seed_projects_to_its_observations(
    layout: Literal["orbit", "walk"],
) -> None:
    found = problem(Setup(layout=layout, tracks=500, noise_px=0), EXACT, seed=1)
    assert reprojection_px(found, 0).max() < 1e-8
    views = np.bincount(found.tracks.track_index)
    assert len(views) == len(found.tracks.xyz) == 500
    assert views.min() >= 2
    assert 4 < views.mean() < 6
    assert np.bincount(found.tracks.frame_index, minlength=20).min() >= 20
    order = found.tracks.track_index * 100 + found.tracks.frame_index
    assert (np.diff(order) > 0).all()


def test_distortion_is_that_of_the_camera_model() -> None:
    found = problem(Setup(tracks=500, noise_px=0, max_k1=0.05), EXACT, seed=3)
    assert 0.005 < abs(found.k1) <= 0.05
    first = np.flatnonzero(np.diff(found.tracks.track_index, prepend=-1))
    # The seeds lie where a pinhole would see the distorted pixels: only those fit without k1.
    error = reprojection_px(found, 0)
    assert error[first].max() < 1e-8
    assert error.max() > 1


def test_the_photographs_do_not_depend_on_the_prediction() -> None:
    setup = Setup(tracks=100, outlier_tracks=0.2)
    good = problem(setup, EXACT, seed=2)
    bad = problem(setup, Errors(rotation_deg=9, center=0.1, focal=0.1, depth=0.1), seed=2)
    np.testing.assert_array_equal(good.tracks.xy, bad.tracks.xy)
    np.testing.assert_array_equal(good.cam_from_world, bad.cam_from_world)
    assert not np.allclose(good.tracks.xyz, bad.tracks.xyz, atol=0.1)
    other = problem(setup, EXACT, seed=4)
    assert not np.allclose(good.cam_from_world, other.cam_from_world, atol=0.1)


@pytest.mark.parametrize(
    ("setup", "wrong_observations", "tracks_with_one"),
    [
        (Setup(outlier_tracks=0.3, noise_px=0), (0.09, 0.17), (0.25, 0.35)),
        (Setup(outlier_observations=0.4, noise_px=0), (0.36, 0.42), (0.75, 0.99)),
    ],
)
def test_outliers(
    setup: Setup, wrong_observations: tuple[float, float], tracks_with_one: tuple[float, float]
) -> None:
    found = problem(setup, EXACT, seed=0)
    clean = problem(Setup(noise_px=0), EXACT, seed=0)
    moved = np.linalg.norm(found.tracks.xy - clean.tracks.xy, axis=1)
    wrong = moved > 0
    assert wrong_observations[0] < wrong.mean() < wrong_observations[1]
    share = np.bincount(found.tracks.track_index, weights=wrong) > 0
    assert tracks_with_one[0] < share.mean() < tracks_with_one[1]
    assert np.median(moved[wrong]) > 15
    assert ((found.tracks.xy >= 0) & (found.tracks.xy <= SIZE)).all()


def test_independent_errors_have_their_mean() -> None:
    poses = problem(Setup(cameras=400, tracks=2), EXACT, seed=0).cam_from_world
    errors = Errors(rotation_deg=5, center=0.1)
    believed = disturbed_poses(poses, errors, np.random.default_rng(0))
    angle = rotation_angle_deg(believed[:, :, :3] @ np.swapaxes(poses[:, :, :3], 1, 2))
    assert angle.mean() == pytest.approx(5, rel=0.1)
    centers, true_centers = invert(believed)[:, :, 3], invert(poses)[:, :, 3]
    reach = np.linalg.norm(true_centers - true_centers.mean(axis=0), axis=1).mean()
    assert (centers - true_centers).std() == pytest.approx(0.1 * reach, rel=0.1)


def test_a_drift_grows_to_its_angle_and_scale() -> None:
    poses = problem(Setup(cameras=20, tracks=2), EXACT, seed=0).cam_from_world
    errors = Errors(kind="correlated", rotation_deg=10, scale=0.5)
    believed = disturbed_poses(poses, errors, np.random.default_rng(0))
    steps = [compose(p[1:], invert(p[:-1])) for p in (believed, poses)]
    turn = rotation_angle_deg(steps[0][:, :, :3] @ np.swapaxes(steps[1][:, :, :3], 1, 2))
    assert turn == pytest.approx(np.full(19, 10 / 19))
    longer = np.linalg.norm(steps[0][:, :, 3], axis=1) / np.linalg.norm(steps[1][:, :, 3], axis=1)
    assert np.log(longer) == pytest.approx(0.5 * np.arange(1, 20) / 19)
    place = np.array([0.0, 1.0])
    depth = disturbed_depth(
        np.ones(2),
        place,
        Errors(kind="correlated", scale=0.5, gross_depth=0),
        np.random.default_rng(),
    )
    assert np.log(depth) == pytest.approx([0, 0.5])
