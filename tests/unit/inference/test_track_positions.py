"""A track head whose position embedding does not fit its weights is found out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from synthetic import synthetic_scene

from vggt_sfm.geometry.cameras import project
from vggt_sfm.inference.track_positions import (
    median_distance,
    places_by_depth,
    settle_positions,
)


def off_by(without: float | None, with_it: float | None) -> Callable[[bool], float | None]:
    return lambda embed: with_it if embed else without


@pytest.mark.parametrize("declared", [False, True])
def test_declared_and_fitting_says_nothing(declared: bool) -> None:
    measure = off_by(9.0, 1.0) if declared else off_by(1.0, 9.0)
    assert settle_positions(measure, declared, 518) == (declared, None)


@pytest.mark.parametrize(("declared", "fix"), [(False, "on"), (True, "off")])
def test_a_mismatch_is_named_with_its_evidence_and_cure(declared: bool, fix: str) -> None:
    measure = off_by(1.0, 9.0) if declared else off_by(9.0, 1.0)
    decision, remark = settle_positions(measure, declared, 518)
    assert decision == declared
    assert remark is not None
    assert "do not match" in remark
    assert "1.0 px" in remark
    assert "9.0 px" in remark
    assert f"--predict.track-positions {fix} fits" in remark


def test_an_unknown_file_is_taken_as_what_fits() -> None:
    decision, remark = settle_positions(off_by(9.0, 1.0), None, 518)
    assert decision
    assert remark is not None
    assert "trained with" in remark
    assert settle_positions(off_by(1.0, 9.0), None, 518)[0] is False


@pytest.mark.parametrize(
    "measure",
    [
        off_by(None, 1.0),
        off_by(1.0, None),
        off_by(2.0, 2.4),  # hardly a difference
        off_by(90.0, 30.0),  # neither fits: the network knows nothing of this scene
    ],
)
@pytest.mark.parametrize("declared", [None, False, True])
def test_without_clear_evidence_the_word_or_the_published_default_counts(
    measure: Callable[[bool], float | None], declared: bool | None
) -> None:
    assert settle_positions(measure, declared, 518) == (bool(declared), None)


def test_places_follow_from_depth_and_cameras() -> None:
    data = synthetic_scene(num_frames=3, num_points=200)
    predictions = data.predictions  # its depth is 5 everywhere
    xy = np.random.default_rng(0).uniform((40, 30), (160, 120), (50, 2))
    places = places_by_depth(predictions, np.array([1, 0, 2]), xy)
    np.testing.assert_allclose(places[0], xy, atol=1e-9)
    ray = np.linalg.inv(predictions.intrinsics[1]) @ np.vstack([xy.T, np.ones(50)])
    pose = predictions.cam_from_world[1]
    world = ((5.0 * ray).T - pose[:, 3]) @ pose[:, :3]
    expected, depth = project(world, predictions.cam_from_world[2], predictions.intrinsics[2])
    hidden = np.abs(depth - 5) > 0.05 * 5
    assert np.isnan(places[2, hidden]).all()
    inside = ~hidden & ((expected >= 0) & (expected <= (200, 150))).all(axis=1)
    assert inside.any()
    np.testing.assert_allclose(places[2, inside], expected[inside], atol=1e-6)


def test_few_places_are_no_evidence() -> None:
    expected = np.full((2, 40, 2), np.nan)
    expected[1, :29] = 0
    found = np.full((2, 40, 2), 3.0)
    assert median_distance(expected, found) is None
    expected[1, 29] = 0
    assert median_distance(expected, found) == pytest.approx(np.hypot(3, 3))
