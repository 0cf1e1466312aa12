"""Frames that look at the same wall come to agree on how far it is."""

from __future__ import annotations

import numpy as np
import pytest

from vggt_sfm.models.tiny.agreement import agree

HEIGHT, WIDTH = 64, 96
FOCAL = 90.0
WALL = 3.0


def row_of_cameras(count: int, step: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    poses = np.tile(np.eye(3, 4), (count, 1, 1))
    poses[:, 0, 3] = -step * np.arange(count)
    K = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    return poses, np.tile(K, (count, 1, 1))


def walls(*depths: float) -> np.ndarray:
    return np.stack([np.full((HEIGHT, WIDTH), d, np.float32) for d in depths])


def sure(*values: float) -> np.ndarray:
    return walls(*values)


def everyone(count: int) -> np.ndarray:
    return np.ones((count, count))


def middle(depth: np.ndarray) -> np.ndarray:
    """Where all cameras see the wall."""
    return depth[:, 8:-8, 24:-24]


def test_depth_that_agrees_stays() -> None:
    poses, K = row_of_cameras(3)
    depth = walls(WALL, WALL, WALL)
    found = agree(depth, sure(1, 1, 1), poses, K, everyone(3))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, depth, rtol=1e-5)


def test_a_bent_wall_is_straightened_by_the_others() -> None:
    poses, K = row_of_cameras(4, 0.05)
    bend = np.exp(0.15 * np.sin(np.linspace(0, 2 * np.pi, WIDTH)))
    depth = walls(WALL, WALL, WALL, WALL)
    depth[1] *= bend.astype(np.float32)
    found = agree(depth, sure(1, 1, 1, 1), poses, K, everyone(4))
    before, after = (np.abs(np.log(middle(d)[1] / WALL)).mean() for d in (depth, found))
    assert after < before / 2


def test_the_mean_is_by_confidence() -> None:
    poses, K = row_of_cameras(2)
    depth, log_ratio = walls(WALL, 1.2 * WALL), np.log(1.2)
    found = agree(depth, sure(3, 1), poses, K, everyone(2))
    np.testing.assert_allclose(np.log(middle(found)[0] / WALL), log_ratio / 4, atol=0.01)
    np.testing.assert_allclose(np.log(middle(found)[1] / WALL), log_ratio / 4, atol=0.01)


def test_what_others_see_in_front_or_behind_is_nothing_to_agree_on() -> None:
    poses, K = row_of_cameras(2)
    depth = walls(WALL, 3 * WALL)
    np.testing.assert_allclose(agree(depth, sure(1, 1), poses, K, everyone(2)), depth, rtol=1e-5)


@pytest.mark.parametrize("away", ["no links", "turned round", "alone"])
def test_frames_that_share_nothing_keep_their_depth(away: str) -> None:
    poses, K = row_of_cameras(1 if away == "alone" else 2)
    links = everyone(len(poses))
    if away == "no links":
        links = np.zeros((2, 2))
    if away == "turned round":
        poses[1, :, :3] = np.diag([-1.0, 1.0, -1.0])
    rng = np.random.default_rng(1)
    depth = rng.uniform(1, 5, (len(poses), HEIGHT, WIDTH)).astype(np.float32)
    found = agree(depth, np.ones_like(depth), poses, K, links)
    np.testing.assert_allclose(found, depth, rtol=1e-6)
