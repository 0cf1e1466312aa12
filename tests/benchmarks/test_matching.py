"""Two-view poses from matches and given intrinsics."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.benchmarks.bench.matching import relative_poses
from vggt_sfm.benchmarks.bench.modes import TRIALS
from vggt_sfm.geometry.cameras import project
from vggt_sfm.metrics.pose import relative_pose_errors
from vggt_sfm.scene import Size

Float64 = NDArray[np.float64]
SIZES = (Size(1296, 968), Size(640, 480))
K = np.array(
    [[[1160.0, 0, 648], [0, 1160, 484], [0, 0, 1]], [[570, 0, 320], [0, 570, 240], [0, 0, 1]]]
)
SECOND = np.column_stack(
    [Rotation.from_euler("yx", [25, 8], degrees=True).as_matrix(), [-1, 0.2, 0.1]]
)


def some_matches(rng: np.random.Generator, count: int, noise_px: float) -> Float64:
    points = rng.uniform([-2, -1.5, 3], [2, 1.5, 7], (count, 3))
    first, _ = project(points, np.eye(3, 4), K[0])
    second, _ = project(points, SECOND, K[1])
    return np.hstack([first, second]) + rng.normal(0, noise_px, (count, 4))


def errors_deg(poses: Float64) -> list[float]:
    truth = np.stack([np.eye(3, 4), SECOND])
    both = (np.stack([np.eye(3, 4), pose]) for pose in poses)
    return [float(relative_pose_errors(pair, truth).pose_deg[0]) for pair in both]


def test_the_pose_is_found_in_every_trial_among_outliers(rng: np.random.Generator) -> None:
    matches = some_matches(rng, 400, 0.2)
    matches[:100] = rng.uniform(0, 480, (100, 4))
    poses = relative_poses(matches, K, SIZES)
    assert len(poses) == TRIALS
    assert max(errors_deg(poses)) < 1
    np.testing.assert_array_equal(poses, relative_poses(matches, K, SIZES))


def test_intrinsics_of_the_wrong_size_make_it_worse(rng: np.random.Generator) -> None:
    matches = some_matches(rng, 400, 0.2)
    right, wrong = (errors_deg(relative_poses(matches, k, SIZES)) for k in (K, K[::-1]))
    assert np.median(wrong) > 10 * np.median(right)


@pytest.mark.parametrize("count", [0, 4])
def test_too_few_matches_are_failures(rng: np.random.Generator, count: int) -> None:
    assert np.isnan(relative_poses(some_matches(rng, count, 0.0), K, SIZES)).all()
