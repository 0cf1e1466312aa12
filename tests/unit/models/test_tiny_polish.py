"""Least squares over pairs: wrong focal lengths and rough poses become right ones."""

from __future__ import annotations

import numpy as np
import pytest

from vggt_sfm.geometry.cameras import project
from vggt_sfm.models.tiny.polish import polish
from vggt_sfm.models.tiny.relative import Edge, relative_pose
from vggt_sfm.training.scenes.cameras import look_at

FOCALS = np.array([400.0, 520.0])
CAMERAS = [0, 1, 0, 1, 0, 1]


def intrinsics(focals: np.ndarray) -> np.ndarray:
    K = np.tile(np.array([[0, 0, 224.0], [0, 0, 168], [0, 0, 1]]), (len(CAMERAS), 1, 1))
    K[:, 0, 0] = K[:, 1, 1] = focals[CAMERAS]
    return K


def rough_edges(K: np.ndarray) -> tuple[list[Edge], np.ndarray]:
    """Edges estimated with wrong intrinsics from noisy true matches, and the true poses."""
    rng = np.random.default_rng(3)
    turns = np.deg2rad(13 * np.arange(6))
    poses = [
        look_at(
            np.array([4 * np.sin(a), rng.uniform(-0.6, 0.6), -4 * np.cos(a)]),
            rng.normal(0, 0.7, 3),
            rng.normal(0, 20),
        )
        for a in turns
    ]
    world = rng.uniform(-1.2, 1.2, (300, 3))
    true = intrinsics(FOCALS)
    seen = [project(world, pose, true[s])[0] for s, pose in enumerate(poses)]
    edges = []
    for i in range(6):
        for j in range(i + 1, 6):
            xy = np.concatenate([seen[i], seen[j]], 1)
            xy = (xy + rng.normal(0, 0.2, xy.shape)).astype(np.float32)
            edge = relative_pose(i, j, xy, np.ones(len(xy), np.float32), K[i], K[j])
            assert edge is not None
            edges.append(edge)
    return edges, np.stack(poses)


def rotation_errors(edges: list[Edge], poses: np.ndarray) -> np.ndarray:
    true = [poses[e.j, :, :3] @ poses[e.i, :, :3].T for e in edges]
    cosines = [(np.trace(R.T @ e.rotation) - 1) / 2 for R, e in zip(true, edges, strict=True)]
    return np.rad2deg(np.arccos(np.clip(cosines, -1, 1)))


def test_wrong_focal_lengths_are_corrected_with_the_poses() -> None:
    wrong = intrinsics(FOCALS * [1.08, 0.94])
    edges, poses = rough_edges(wrong)
    better, K = polish(edges, wrong, CAMERAS, np.zeros(6, bool))
    np.testing.assert_allclose(K[:, 0, 0], FOCALS[CAMERAS], rtol=0.015)
    np.testing.assert_array_equal(K[:, :2, 2], wrong[:, :2, 2])
    before, after = rotation_errors(edges, poses), rotation_errors(better, poses)
    assert np.median(after) < 0.25 < np.median(before)
    assert all(np.linalg.norm(e.direction) == pytest.approx(1) for e in better)


def test_a_known_focal_length_stays() -> None:
    wrong = intrinsics(FOCALS * [1.0, 0.94])
    edges, _ = rough_edges(wrong)
    _, K = polish(edges, wrong, CAMERAS, np.array([True, False] * 3))
    np.testing.assert_allclose(K[[0, 2, 4], 0, 0], FOCALS[0], rtol=1e-6)
    np.testing.assert_allclose(K[[1, 3, 5], 0, 0], FOCALS[1], rtol=0.015)


def test_cameras_of_single_frames_keep_their_focal_lengths() -> None:
    wrong = intrinsics(FOCALS * [1.08, 0.94])
    edges, _ = rough_edges(wrong)
    same, K = polish(edges, wrong, range(6), np.zeros(6, bool))
    assert same == edges
    np.testing.assert_allclose(K, wrong, rtol=1e-6)
