"""Scores of bags against other ways to compute them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.benchmarks.datasets.bags import Area
from vggt_sfm.benchmarks.scores import THRESHOLDS_DEG, Errors, errors_of, interval, pool, scores_of

Float64 = NDArray[np.float64]


def some_poses(rng: np.random.Generator, count: int) -> Float64:
    return np.concatenate(
        [Rotation.random(count, rng).as_matrix(), rng.normal(size=(count, 3, 1))], axis=2
    )


def near(rng: np.random.Generator, truth: Float64, sigma_deg: float) -> Float64:
    turn = Rotation.from_rotvec(np.radians(rng.normal(0, sigma_deg, (len(truth), 3)))).as_matrix()
    moved = truth[:, :, 3:] + rng.normal(0, np.radians(sigma_deg), (len(truth), 3, 1))
    return np.concatenate([turn @ truth[:, :, :3], moved], axis=2)


def histogram_auc_of_pose_benchmarks(rotation: Float64, direction: Float64, limit: int) -> float:
    """A second implementation, in the words of the published protocol."""
    worst = np.maximum(rotation, direction)
    counts = [0] * limit
    for error in worst.tolist():
        if error <= limit:
            counts[min(int(error), limit - 1)] += 1
    seen, total = 0, 0.0
    for count in counts:
        seen += count
        total += seen / len(worst)
    return 100 * total / limit


def test_a_thousand_pose_sets_against_a_second_implementation() -> None:
    rng = np.random.default_rng(11)
    for _ in range(1000):
        truth = some_poses(rng, int(rng.integers(2, 7)))
        predicted = near(rng, truth, float(rng.choice([0.3, 3, 20])))
        rotation, direction, signed = [], [], []
        for i in range(len(truth)):
            for j in range(i + 1, len(truth)):
                motions = []
                for world in (predicted, truth):
                    R = world[i, :, :3] @ world[j, :, :3].T
                    motions.append((R, world[i, :, 3] - R @ world[j, :, 3]))
                (R, t), (R_true, t_true) = motions
                cosine = (np.trace(R @ R_true.T) - 1) / 2
                rotation.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
                along = t @ t_true / np.linalg.norm(t) / np.linalg.norm(t_true)
                signed.append(np.degrees(np.arccos(np.clip(along, -1, 1))))
                direction.append(np.degrees(np.arccos(np.clip(abs(along), -1, 1))))
        found = scores_of(errors_of(predicted, truth))
        for t in THRESHOLDS_DEG:
            expected = histogram_auc_of_pose_benchmarks(np.array(rotation), np.array(direction), t)
            assert found.auc_histogram[str(t)] == pytest.approx(expected, abs=0.006)
            assert found.rra[str(t)] == pytest.approx(
                100 * np.mean(np.array(rotation) < t), abs=0.006
            )
            grid = np.linspace(0, t, 20001)
            for areas, along in ((found.auc_exact, signed), (found.auc_exact_folded, direction)):
                worst = np.maximum(rotation, along)
                recall = np.searchsorted(np.sort(worst), grid, side="right") / len(worst)
                steps = np.trapezoid(recall, grid) / t * 100
                # straight lines between sorted errors: at most half a step of recall off
                assert abs(areas[str(t)] - steps) <= 100 / len(worst)


def test_missing_cameras_fail_and_a_mirrored_direction_counts_only_when_folded() -> None:
    truth = np.tile(np.eye(3, 4), (3, 1, 1))
    truth[:, 0, 3] = [0, 1, 3]
    predicted = -truth
    predicted[:, :, :3] = truth[:, :, :3]
    found = scores_of(errors_of(predicted, truth))
    assert found.auc_histogram["1"] == found.rta["1"] == 100
    assert found.auc_exact["30"] == 0
    predicted[0] = np.nan
    found = scores_of(errors_of(predicted, truth))
    assert found.auc_histogram["30"] == found.rra["30"] == pytest.approx(100 / 3, abs=0.01)


def test_pooled_area_is_the_mean_of_bags_weighted_by_pairs() -> None:
    rng = np.random.default_rng(2)
    bags = [
        Errors(rotation=rng.uniform(0, 60, n), translation=rng.uniform(0, 180, n))
        for n in (1, 10, 45)
    ]
    areas = [scores_of(bag).auc_histogram["30"] for bag in bags]
    assert scores_of(pool(bags)).auc_histogram["30"] == pytest.approx(
        np.average(areas, weights=[1, 10, 45]), abs=0.01
    )


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    truth = 100 * np.mean([(30 - k) / 30 if k < 30 else 0 for k in range(60)])
    held = 0
    for _ in range(60):
        bags = [
            Errors(rotation=np.full(5, rng.uniform(0, 60)), translation=np.zeros(5))
            for _ in range(40)
        ]
        low, high = interval([bags], "auc_histogram", 30) or (np.nan, np.nan)
        held += low <= truth <= high
    assert 50 <= held <= 60
    assert interval([bags, bags[:1]], "auc_histogram", 30) is None


@pytest.mark.parametrize("kind", ["auc_exact", "auc_exact_folded", "auc_histogram"])
def test_the_interval_of_bags_of_one_pair_is_about_what_is_reported(kind: Area) -> None:
    rng = np.random.default_rng(4)
    bags = [
        Errors(rotation=rng.uniform(0, 40, 1), translation=rng.uniform(0, 40, 1)) for _ in range(60)
    ]
    low, high = interval([bags], kind, 30) or (np.nan, np.nan)
    reported = getattr(scores_of(pool(bags)), kind)["30"]
    assert low < reported < high
    assert abs((low + high) / 2 - reported) < 0.3 * (high - low)
