"""Directions of pairs from rotations that are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from orbits import wandering_orbit

from vggt_sfm.geometry.cameras import project
from vggt_sfm.models.tiny.directions import redirected
from vggt_sfm.models.tiny.relative import Edge, relative_pose

K = np.tile(np.array([[420.0, 0, 224], [0, 420.0, 168], [0, 0, 1]]), (4, 1, 1))
RNG = np.random.default_rng(2)
# no common point in the middle of all views: the focal length would be anything
POSES = wandering_orbit(4, 17, RNG)


def true_direction(i: int, j: int) -> np.ndarray:
    R = POSES[j, :, :3] @ POSES[i, :, :3].T
    t = POSES[j, :, 3] - R @ POSES[i, :, 3]
    return np.asarray(t / np.linalg.norm(t))


def edges_with_outliers() -> list[Edge]:
    world = RNG.uniform(-1.2, 1.2, (200, 3))
    seen = [project(world, pose, K[s])[0] for s, pose in enumerate(POSES)]
    edges = []
    for i, j in combinations(range(4), 2):
        xy = np.concatenate([seen[i], seen[j]], 1) + RNG.normal(0, 0.2, (200, 4))
        edge = relative_pose(i, j, xy.astype(np.float32), np.ones(200, np.float32), K[i], K[j])
        assert edge is not None
        spoiled = edge.xy.copy()
        spoiled[::5, 2:] += RNG.normal(0, 1.5, spoiled[::5, 2:].shape)
        edges.append(replace(edge, xy=spoiled))
    return edges


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(np.clip(a @ b, -1, 1))))


def test_with_true_rotations_directions_become_true_and_keep_their_side() -> None:
    off = np.array([0.25, -0.2, 0.15])
    edges = [
        replace(e, direction=(e.direction + off) / np.linalg.norm(e.direction + off))
        for e in edges_with_outliers()
    ]
    for before, after in zip(edges, redirected(edges, POSES[:, :, :3], K), strict=True):
        truth = true_direction(after.i, after.j)
        assert angle_deg(before.direction, truth) > 5
        assert angle_deg(after.direction, truth) < 0.3
        np.testing.assert_allclose(
            after.rotation, POSES[after.j, :, :3] @ POSES[after.i, :, :3].T, atol=1e-12
        )
