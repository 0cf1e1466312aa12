"""Distances of cameras against pycolmap, loops and hand-made numbers."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.metrics.trajectory import (
    extent,
    on_a_line,
    pose_differences,
    stand_apart,
    trajectory_errors,
)

Float64 = NDArray[np.float64]


def poses(rng: np.random.Generator, count: int) -> Float64:
    rotations = Rotation.random(count, rng).as_matrix()
    return np.concatenate([rotations, rng.normal(size=(count, 3, 1))], axis=2)


def test_errors_are_what_pycolmap_leaves(rng: np.random.Generator) -> None:
    predicted, truth = rng.normal(size=(9, 3)), rng.normal(size=(9, 3))
    best = pycolmap.estimate_sim3d(predicted, truth)
    expected = [np.linalg.norm(best * p - t) for p, t in zip(predicted, truth, strict=True)]
    np.testing.assert_allclose(trajectory_errors(predicted, truth), expected, atol=1e-9)


def test_differences_agree_with_a_loop(rng: np.random.Generator) -> None:
    mine, truth = poses(rng, 5), poses(rng, 5)
    turn, shift = Rotation.random(rng=rng), rng.normal(size=3)
    angles, distances = pose_differences(mine, truth, (2.5, turn.as_matrix(), shift))
    for n in range(5):
        turned = turn * Rotation.from_matrix(mine[n, :, :3])
        between = Rotation.from_matrix(truth[n, :, :3]).inv() * turned
        assert angles[n] == pytest.approx(np.degrees(between.magnitude()), abs=1e-9)
        moved = 2.5 * turn.apply(mine[n, :, 3]) + shift
        assert distances[n] == pytest.approx(np.linalg.norm(moved - truth[n, :, 3]))


@pytest.mark.parametrize("count", [0, 1, 2, 7, 300])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_extent_is_the_largest_distance(rng: np.random.Generator, count: int, axes: int) -> None:
    centers = rng.normal(size=(count, axes)) @ np.eye(3)[:axes]
    expected = max((float(np.linalg.norm(a - b)) for a in centers for b in centers), default=0.0)
    assert extent(centers) == pytest.approx(expected)


def test_places_and_lines() -> None:
    far = np.array([1e6, 2e6, 3e6])
    assert not stand_apart(np.tile(far, (4, 1)) * (1 + 1e-15))
    assert stand_apart(far + np.array([[0, 0, 0], [0, 0.01, 0]]))
    assert not stand_apart(far[None])
    line = np.outer([0, 1, 5, 7], [0.1, 0.2, 0.3])
    assert on_a_line(line)
    assert not on_a_line(line + np.array([0, 0, 1e-3])[None] * np.array([[0], [1], [0], [1]]))
    assert on_a_line(line[:2])
