"""What one epipolar geometry explains, and what only seems to have one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic import synthetic_scene

from vggt_sfm.geometry.cameras import project
from vggt_sfm.scene import Size
from vggt_sfm.tracking.verification import verified_rows

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
SIZE = Size(400, 300)


def rows_of(first: Float64, second: Float64, seed: int = 0, size: Size = SIZE) -> Int64:
    return verified_rows((first, second), (size, size), max_error_px=4.0, min_inliers=15, seed=seed)


def true_pair(count: int = 200) -> tuple[Float64, Float64]:
    data = synthetic_scene(num_frames=2, num_points=count, arc_deg=20)
    xy, _ = project(data.xyz[None], data.cam_from_world[:, None], data.intrinsics[:, None])
    return xy[0], xy[1]


def test_outliers_are_rejected(rng: np.random.Generator) -> None:
    first, second = true_pair()
    first, second = (xy + rng.normal(0, 0.5, xy.shape) for xy in (first, second))
    wrong = rng.random(len(first)) < 0.4
    second[wrong] = rng.uniform(0, SIZE, (int(wrong.sum()), 2))
    rows = rows_of(first, second)
    np.testing.assert_array_equal(rows, np.unique(rows))
    assert np.isin(np.flatnonzero(~wrong), rows).mean() > 0.95
    assert np.isin(np.flatnonzero(wrong), rows).mean() < 0.15  # some lie on their lines


@pytest.mark.parametrize("count", [20, 100, 400, 1000])
@pytest.mark.parametrize("size", [SIZE, Size(1024, 683)])
def test_random_matches_have_no_geometry(count: int, size: Size) -> None:
    rng = np.random.default_rng(count)
    for seed in range(3):
        first, second = rng.uniform(0, size, (2, count, 2))
        assert not len(rows_of(first, second, seed, size))


def test_a_watermark_is_no_geometry(rng: np.random.Generator) -> None:
    corner = rng.uniform([300, 270], SIZE, (60, 2))
    still = corner + rng.normal(0, 0.3, corner.shape)
    assert not len(rows_of(corner, still))
    # nor does it spoil a pair that shows something else
    first, second = true_pair()
    both = rows_of(np.concatenate([first, corner]), np.concatenate([second, still]))
    assert np.isin(np.arange(len(first)), both).mean() > 0.8
    # what stands still in the middle is a camera that did not move
    middle = rng.uniform([100, 80], [300, 220], (60, 2))
    assert len(rows_of(middle, middle + rng.normal(0, 0.3, middle.shape))) > 50


def test_equal_seeds_give_equal_rows(rng: np.random.Generator) -> None:
    first, second = true_pair()
    wrong = rng.random(len(first)) < 0.5
    second[wrong] = rng.uniform(0, SIZE, (int(wrong.sum()), 2))
    for seed in (0, 7, 2**40, -3):
        np.testing.assert_array_equal(rows_of(first, second, seed), rows_of(first, second, seed))


def test_too_few_are_none() -> None:
    first, second = true_pair(30)
    assert len(rows_of(first[:15], second[:15])) == 15
    assert not len(rows_of(first[:14], second[:14]))
    assert rows_of(np.empty((0, 2)), np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize(
    "first",
    [
        np.zeros((40, 2)),
        np.full((40, 2), 150.0),
        np.repeat(np.linspace(100, 200, 40)[:, None], 2, axis=1),
        np.column_stack([np.linspace(0, 400, 40), np.full(40, 150.0)]),
        np.tile(np.array([[100.0, 100], [200, 100]]), (20, 1)),
    ],
    ids=["corner", "one point", "diagonal", "horizontal", "two points"],
)
def test_degenerate_points_do_no_harm(first: Float64) -> None:
    for second in (first, first + 3, first[::-1] * 0.5, np.full_like(first, 7.0)):
        rows = rows_of(first, second)
        assert rows.dtype == np.int64
        assert len(rows) <= len(first)
