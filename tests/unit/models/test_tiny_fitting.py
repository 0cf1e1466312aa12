"""Depth bends towards what the matches say of it, near them and on their side of an edge."""

from __future__ import annotations

import numpy as np
import pytest

from vggt_sfm.models.tiny.fitting import fit
from vggt_sfm.models.tiny.sparse import DepthPoints

HEIGHT, WIDTH = 96, 128


def points(x: np.ndarray, y: np.ndarray, depth: np.ndarray | float) -> DepthPoints:
    return DepthPoints(np.stack([x, y], 1), np.broadcast_to(depth, len(x)).astype(float))


def somewhere(count: int, right: float = WIDTH, left: float = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.uniform(left, right, count), rng.uniform(0, HEIGHT, count)


def flat(depth: float) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), depth, np.float32)


def test_a_scale_that_all_matches_agree_on_is_taken() -> None:
    fitted = fit(flat(2.0), points(*somewhere(300), 2.3))
    assert fitted.dtype == np.float32
    assert fitted.shape == (HEIGHT, WIDTH)
    np.testing.assert_allclose(fitted, 2.3, rtol=0.01)


def test_a_bend_is_followed() -> None:
    x, y = somewhere(600)
    truth = 2.0 * np.exp(0.2 * np.sin(np.arange(WIDTH) / WIDTH * np.pi))
    fitted = fit(flat(2.0), points(x, y, truth[x.astype(int)]))
    before, after = (np.abs(np.log(d / truth)).mean() for d in (flat(2.0), fitted))
    assert after < before / 3


def test_what_lies_behind_an_edge_stays_where_it_was() -> None:
    depth = flat(2.0)
    depth[:, WIDTH // 2 :] = 6.0
    fitted = fit(depth, points(*somewhere(300, right=WIDTH / 2), 2.2))
    np.testing.assert_allclose(fitted[:, : WIDTH // 2 - 4], 2.2, rtol=0.02)
    np.testing.assert_allclose(fitted[:, WIDTH // 2 + 4 :], 6.0, rtol=1e-3)


def test_matches_of_something_else_and_single_ones_move_little() -> None:
    x, y = somewhere(300)
    np.testing.assert_array_equal(fit(flat(2.0), points(x, y, 3.0)), flat(2.0))
    alone = fit(flat(2.0), points(x[:1], y[:1], 2.5))
    assert np.abs(alone - 2.0).max() < 0.2


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (16, 16), (16, 448)])
def test_without_matches_depth_is_as_predicted(size: tuple[int, int]) -> None:
    depth = np.random.default_rng(1).uniform(0.01, 100.0, size).astype(np.float32)
    nothing = DepthPoints(np.empty((0, 2)), np.empty(0))
    np.testing.assert_array_equal(fit(depth, nothing), depth)


def test_matches_on_the_border_are_used() -> None:
    corners = np.array([0.0, WIDTH, 0.0, WIDTH]), np.array([0.0, 0.0, HEIGHT, HEIGHT])
    fitted = fit(flat(2.0), points(*(np.repeat(c, 30) for c in corners), 2.2))
    for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert fitted[y, x] == pytest.approx(2.2, rel=0.02)
