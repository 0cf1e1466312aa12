"""Pose errors and AUC against loops, hand-made numbers and their invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.rigid import compose
from vggt_sfm.metrics.pose import auc_exact, auc_histogram, relative_pose_errors

Float64 = NDArray[np.float64]
ANGLE_ROUND_OFF = 1e-9  # degrees

error_lists = arrays(
    np.float64,
    st.integers(1, 30),
    elements=st.one_of(st.floats(0, 60), st.just(np.inf), st.integers(0, 40).map(float)),
)


def poses(rng: np.random.Generator, count: int) -> Float64:
    rotations = Rotation.random(count, rng).as_matrix()
    return np.concatenate([rotations, rng.normal(size=(count, 3, 1))], axis=2)


def rotated(pose: Float64, degrees: float) -> Float64:
    """The pose after its camera has turned about its own x axis, centre unchanged."""
    turn = Rotation.from_rotvec([np.radians(degrees), 0, 0]).as_matrix()
    return turn @ pose


def test_errors_agree_with_a_loop(rng: np.random.Generator) -> None:
    predicted, truth = poses(rng, 6), poses(rng, 6)
    found = relative_pose_errors(predicted, truth, fold_translation=False)
    p = 0
    for i in range(6):
        for j in range(i + 1, 6):
            relative = []
            for world in (predicted, truth):
                square = [np.vstack([world[s], [0, 0, 0, 1]]) for s in (i, j)]
                relative.append(square[0] @ np.linalg.inv(square[1]))
            rotation = relative[0][:3, :3].T @ relative[1][:3, :3]
            rotation_deg = np.degrees(Rotation.from_matrix(rotation).magnitude())
            a, b = relative[0][:3, 3], relative[1][:3, 3]
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert tuple(found.pairs[p]) == (i, j)
            assert found.rotation_deg[p] == pytest.approx(rotation_deg, abs=1e-6)
            assert found.translation_deg[p] == pytest.approx(
                np.degrees(np.arccos(cosine)), abs=1e-5
            )
            p += 1
    assert p == len(found.pairs)


def test_a_turned_camera_by_hand() -> None:
    # Cameras one to the right of the other, looking along z; the second nods by 10 degrees.
    truth = np.tile(np.eye(3, 4), (2, 1, 1))
    truth[1, 0, 3] = -1
    predicted = truth.copy()
    predicted[1] = rotated(truth[1], 10)
    found = relative_pose_errors(predicted, truth)
    assert found.rotation_deg[0] == pytest.approx(10)
    assert found.translation_deg[0] == pytest.approx(0)  # the baseline is the axis of the nod
    assert found.pose_deg[0] == pytest.approx(10)


def test_opposite_baselines_are_equal_only_when_folded() -> None:
    truth = np.tile(np.eye(3, 4), (2, 1, 1))
    truth[1, 0, 3] = -1
    predicted = truth * [1, 1, 1, -1]
    assert relative_pose_errors(predicted, truth).translation_deg[0] == 0
    unfolded = relative_pose_errors(predicted, truth, fold_translation=False)
    assert unfolded.translation_deg[0] == 180


def test_zero_baselines() -> None:
    truth = np.tile(np.eye(3, 4), (3, 1, 1))
    truth[2, 0, 3] = 1
    predicted = np.tile(np.eye(3, 4), (3, 1, 1))
    found = relative_pose_errors(predicted, truth)
    # 0-1 has no true baseline and cannot be wrong; 0-2 and 1-2 were predicted without one.
    np.testing.assert_array_equal(found.translation_deg, [0, 90, 90])


def test_unregistered_frames_fail_all_their_pairs(rng: np.random.Generator) -> None:
    truth = poses(rng, 4)
    predicted = truth.copy()
    predicted[1, 2, 3] = np.nan
    found = relative_pose_errors(predicted, truth)
    failed = (found.pairs == 1).any(axis=1)
    assert failed.sum() == 3
    np.testing.assert_array_equal(found.rotation_deg[failed], 180)
    np.testing.assert_array_equal(found.translation_deg[failed], np.inf)
    np.testing.assert_allclose(found.pose_deg[~failed], 0, atol=ANGLE_ROUND_OFF)
    assert auc_exact(found.pose_deg, 30) == pytest.approx(50)
    assert auc_histogram(found.pose_deg, 30) == pytest.approx(50)


@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_errors_do_not_depend_on_world_and_scale(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    predicted, truth = poses(rng, 4), poses(rng, 4)
    moved = compose(predicted, poses(rng, 1)[0])
    moved[:, :, 3] *= scale
    before, after = relative_pose_errors(predicted, truth), relative_pose_errors(moved, truth)
    np.testing.assert_allclose(after.rotation_deg, before.rotation_deg, atol=ANGLE_ROUND_OFF)
    np.testing.assert_allclose(after.translation_deg, before.translation_deg, atol=1e-6)


def test_order_of_frames_matters_only_through_rotation_errors(rng: np.random.Generator) -> None:
    truth = poses(rng, 5)
    predicted = truth.copy()
    predicted[:, :, 3] += rng.normal(size=(5, 3))
    before = relative_pose_errors(predicted, truth)
    after = relative_pose_errors(predicted[::-1], truth[::-1])
    np.testing.assert_allclose(np.sort(after.pose_deg), np.sort(before.pose_deg), atol=1e-9)


def slow_auc_exact(errors: Float64, threshold: float) -> float:
    """Area under the piecewise linear recall curve, one trapezium at a time."""
    area, last_error, last_recall = 0.0, 0.0, 0.0
    for n, error in enumerate(sorted(errors), start=1):
        if error >= threshold:
            break
        area += (error - last_error) * (last_recall + n / len(errors)) / 2
        last_error, last_recall = error, n / len(errors)
    return 100 * (area + (threshold - last_error) * last_recall) / threshold


def slow_auc_histogram(errors: Float64, threshold: int) -> float:
    """Mean recall over whole degrees; numpy closes only the last bin on the right."""
    recalls = []
    for degree in range(1, threshold + 1):
        last = degree == threshold
        hits = sum(error < degree or (last and error == degree) for error in errors)
        recalls.append(hits / len(errors))
    return 100 * sum(recalls) / threshold


@given(error_lists, st.integers(1, 40))
def test_auc_agrees_with_its_definition(errors: Float64, threshold: int) -> None:
    assert auc_exact(errors, threshold) == pytest.approx(slow_auc_exact(errors, threshold))
    assert auc_histogram(errors, threshold) == pytest.approx(slow_auc_histogram(errors, threshold))


def test_auc_by_hand() -> None:
    errors = np.array([1.0, 3.0, np.inf, 20.0])
    # Recall 0 -> 1/4 on [0, 1], 1/4 -> 1/2 on [1, 3], then 1/2 up to 5.
    assert auc_exact(errors, 5) == pytest.approx(100 * (0.125 + 0.75 + 1.0) / 5)
    # Recall below 1, 2, 3, 4 and up to 5 degrees: 0, 1/4, 1/4, 1/2, 1/2.
    assert auc_histogram(errors, 5) == pytest.approx(100 * 1.5 / 5)


@pytest.mark.parametrize("auc", [auc_exact, auc_histogram])
def test_auc_extremes(auc: object) -> None:
    assert callable(auc)
    assert auc(np.zeros(3), 5) == pytest.approx(100)
    assert auc(np.array([np.nan, np.inf]), 5) == 0
    assert np.isnan(auc(np.empty(0), 5))
