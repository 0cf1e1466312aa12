"""Least squares over all matches: wrong lenses and rough cameras become right ones."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from orbits import wandering_orbit
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.cameras import project
from vggt_sfm.metrics.pose import relative_pose_errors
from vggt_sfm.models.tiny.assemble import Joined, misfit, refine
from vggt_sfm.models.tiny.joint import Cameras, JointProblem, _fundamental, _slopes
from vggt_sfm.models.tiny.relative import Edge, epipolar_lines, homogeneous
from vggt_sfm.scene import Matches

FRAMES, POINTS = 6, 150
FOCALS = np.array([400.0, 520.0])
CAMERAS = np.array([0, 1, 0, 1, 0, 1])
CENTER = np.array([228.0, 165.0])
NO_ONE = np.zeros(FRAMES, bool)


def intrinsics(focals: np.ndarray, center: np.ndarray) -> np.ndarray:
    K = np.tile(np.eye(3), (FRAMES, 1, 1))
    K[:, 0, 0] = K[:, 1, 1] = focals[CAMERAS]
    K[:, :2, 2] = center
    return K


TRUE = intrinsics(FOCALS, CENTER)
ROUGH = intrinsics(FOCALS * [1.12, 0.9], np.array([224.0, 168.0]))


def make(noise_px: float, wrong: float = 0.0) -> tuple[np.ndarray, tuple[Edge, ...]]:
    """True poses, and pairs with noisy matches, some of them wrong."""
    rng = np.random.default_rng(3)
    poses = wandering_orbit(FRAMES, 13, rng)
    world = rng.uniform(-1.2, 1.2, (POINTS, 3))
    seen = [project(world, pose, TRUE[s])[0] for s, pose in enumerate(poses)]
    edges = []
    for i, j in combinations(range(FRAMES), 2):
        xy = np.concatenate([seen[i], seen[j]], 1) + rng.normal(0, noise_px, (POINTS, 4))
        lost = rng.random(POINTS) < wrong
        xy[lost, 2:] += rng.normal(0, 3, (lost.sum(), 2))
        edges.append(
            Edge(
                i=i,
                j=j,
                rotation=np.eye(3),
                direction=np.eye(3)[0],
                xy=xy,
                confidence=np.ones(POINTS),
                parallax_deg=10.0,
            )
        )
    return poses, tuple(edges)


def roughly(poses: np.ndarray, degrees: float = 3.0, distance: float = 0.25) -> np.ndarray:
    rng = np.random.default_rng(5)
    turn = Rotation.from_rotvec(np.deg2rad(rng.normal(0, degrees, (len(poses), 3)))).as_matrix()
    rough = poses.copy()
    rough[:, :, :3] = turn @ poses[:, :, :3]
    center = -np.einsum("sba,sb->sa", poses[:, :, :3], poses[:, :, 3])
    center = center + rng.normal(0, distance, center.shape)
    rough[:, :, 3] = -np.einsum("sab,sb->sa", rough[:, :, :3], center)
    return rough


def joined(poses: np.ndarray, K: np.ndarray, edges: tuple[Edge, ...]) -> Joined:
    return Joined(cam_from_world=poses, intrinsics=K, edges=edges, measured=frozenset())


def errors_deg(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    errors = relative_pose_errors(found, truth)
    return np.maximum(errors.rotation_deg, errors.translation_deg)


def test_rough_cameras_and_lenses_become_true_ones() -> None:
    poses, edges = make(noise_px=0.1, wrong=0.15)
    begun = joined(roughly(poses), ROUGH, edges)
    found = refine(begun, CAMERAS, NO_ONE)
    assert np.median(errors_deg(begun.cam_from_world, poses)) > 4
    assert errors_deg(found.cam_from_world, poses).max() < 0.5
    np.testing.assert_allclose(found.intrinsics[:, 0, 0], TRUE[:, 0, 0], rtol=0.01)
    assert np.abs(found.intrinsics[:, :2, 2] - CENTER).max() < 2.5
    assert np.abs(ROUGH[:, :2, 2] - CENTER).max() > 2.9


def test_a_known_focal_length_stays() -> None:
    poses, edges = make(noise_px=0.1)
    wrong = intrinsics(FOCALS * [1.0, 0.94], CENTER)
    found = refine(joined(roughly(poses), wrong, edges), CAMERAS, CAMERAS == 0)
    np.testing.assert_allclose(found.intrinsics[::2, 0, 0], FOCALS[0], rtol=1e-6)
    np.testing.assert_allclose(found.intrinsics[1::2, 0, 0], FOCALS[1], rtol=0.01)


def test_two_frames_tell_their_pose_but_not_their_lens() -> None:
    poses, edges = make(noise_px=0.1)
    pair = tuple(e for e in edges if (e.i, e.j) == (0, 2))
    found = refine(joined(roughly(poses), TRUE, pair), CAMERAS, NO_ONE)
    np.testing.assert_allclose(found.intrinsics, TRUE, atol=1e-3)
    assert errors_deg(found.cam_from_world[[0, 2]], poses[[0, 2]]).max() < 0.5
    rest = [1, 3, 4, 5]  # no match reaches them
    np.testing.assert_array_equal(found.cam_from_world[rest], roughly(poses)[rest])


def test_a_lens_that_nothing_tells_leaves_all_cameras_alone() -> None:
    poses, edges = make(noise_px=0.1)
    begun = joined(roughly(poses), ROUGH, edges)
    each_its_own = np.arange(FRAMES)
    assert refine(begun, each_its_own, NO_ONE) is begun
    assert refine(begun, each_its_own, ~NO_ONE) is not begun


def test_without_pairs_nothing_changes() -> None:
    poses, _ = make(noise_px=0.0)
    begun = joined(poses, TRUE, ())
    assert refine(begun, CAMERAS, NO_ONE) is begun


@pytest.mark.parametrize("parameter", range(18))
def test_slopes_are_those_of_finite_differences(parameter: int) -> None:
    """Of the fundamental matrix with each parameter, and of the distances with the matrix."""
    poses, edges = make(noise_px=2.0)
    problem = JointProblem(edges, ROUGH, CAMERAS, free_focal=np.ones(2, bool), free_center=True)
    at = Cameras(
        rotations=poses[:, :, :3],
        centers=-np.einsum("sba,sb->sa", poses[:, :, :3], poses[:, :, 3]),
        log_focal=np.array([0.1, -0.05]),
        shift=np.full((2, 2), 0.01),
    )
    first, second = problem._sides(at)
    step = 1e-4
    moved = [
        (first.moved(parameter, s), second)
        if parameter < 9
        else (first, second.moved(parameter - 9, s))
        for s in (step, -step)
    ]
    ahead, behind = (_fundamental(*sides) for sides in moved)
    slopes = _slopes(first, second)[:, :, parameter]
    numeric = ((ahead - behind) / (2 * step)).reshape(-1, 9)
    np.testing.assert_allclose(slopes, numeric, rtol=2e-3, atol=2e-3 * np.abs(numeric).max())


def test_a_camera_from_elsewhere_fits_worse() -> None:
    poses, edges = make(noise_px=0.1)
    matches = Matches(
        pairs=np.array([(e.i, e.j) for e in edges]),
        offsets=np.arange(len(edges) + 1) * POINTS,
        xy=np.concatenate([e.xy for e in edges]).astype(np.float32),
        confidence=np.ones(len(edges) * POINTS, np.float32),
    )
    right = misfit(matches, joined(poses, TRUE, edges))
    wrong_lens = misfit(matches, joined(poses, ROUGH, edges))
    without_last = misfit(matches, joined(poses, TRUE, tuple(e for e in edges if e.j < 5)))
    assert right < 0.5 < wrong_lens
    assert without_last > 1.0


def test_distances_from_epipolar_lines_are_those_of_the_definition() -> None:
    poses, edges = make(noise_px=2.0)
    problem = JointProblem(edges, TRUE, CAMERAS, free_focal=np.ones(2, bool), free_center=True)
    at = Cameras(
        rotations=poses[:, :, :3],
        centers=-np.einsum("sba,sb->sa", poses[:, :, :3], poses[:, :, 3]),
        log_focal=np.zeros(2),
        shift=np.zeros((2, 2)),
    )
    F = _fundamental(*problem._sides(at))[0]
    x, y = homogeneous(edges[0].xy[:, :2]), homogeneous(edges[0].xy[:, 2:])
    distance, _, _ = epipolar_lines(F, x, y)
    for k in range(5):
        a, b = F @ x[k], F.T @ y[k]
        expected = y[k] @ F @ x[k] / np.sqrt(a[0] ** 2 + a[1] ** 2 + b[0] ** 2 + b[1] ** 2)
        assert distance[k] == pytest.approx(expected, rel=1e-9)
