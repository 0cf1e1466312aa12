"""The embedded model's solver: cameras and depth from matches alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.cameras import project
from vggt_sfm.metrics.pose import auc_exact, relative_pose_errors
from vggt_sfm.models.tiny.focal import EpipolarPair, focal_ratios
from vggt_sfm.models.tiny.focal_search import other_focals
from vggt_sfm.models.tiny.relative import relative_pose, two_view_depths
from vggt_sfm.models.tiny.solve import solve_cameras
from vggt_sfm.models.tiny.sparse import normalize_scale, sparse_depths
from vggt_sfm.scene import Frame, Matches, PixelMap, Scene, Size
from vggt_sfm.training.scenes.cameras import look_at

SIDE = Size(448, 336)
FOCAL = 420.0
K = np.array([[FOCAL, 0, 224], [0, FOCAL, 168], [0, 0, 1]])


def orbit(
    count: int, step_deg: float, rng: np.random.Generator, wander: float = 0.15
) -> np.ndarray:
    poses = []
    for s in range(count):
        turn = np.deg2rad(step_deg * (s - count / 2))
        eye = 4 * np.array([np.sin(turn), rng.uniform(-0.2, 0.2), -np.cos(turn)])
        poses.append(look_at(eye, rng.normal(0, wander, 3), rng.normal(0, 3)))
    return np.stack(poses)


def scene_of(count: int, focal_prior: float | None = None) -> Scene:
    frame = {"path": "", "size": SIDE, "sha256": "", "focal_prior_px": focal_prior}
    same = PixelMap(original=SIDE, network=SIDE, scale=(1.0, 1.0), offset=(0.0, 0.0))
    return Scene(
        frames=tuple(Frame(name=f"{s}.jpg", **frame) for s in range(count)),  # type: ignore[arg-type]
        pixel_maps=(same,) * count,
    )


def matches_of(
    poses: np.ndarray,
    rng: np.random.Generator,
    *,
    noise_px: float,
    outliers: float,
    shift_px: tuple[float, float] = (0.0, 0.0),
) -> tuple[Matches, np.ndarray]:
    """Project random points into all pairs; returns the matches and the (S, N) depths."""
    world = rng.uniform(-1.2, 1.2, (400, 3))
    seen = [project(world, pose, K) for pose in poses]
    pairs, xy = [], []
    for i in range(len(poses)):
        for j in range(i + 1, len(poses)):
            both = np.concatenate([seen[i][0], seen[j][0]], 1)
            both = both + rng.normal(0, noise_px, both.shape) + np.tile(shift_px, 2)
            inside = np.all((both > 0) & (both < np.tile(SIDE, 2)), axis=1)
            both = both[inside]
            wrong = rng.random(len(both)) < outliers
            both[wrong, 2:] = rng.uniform((0, 0), SIDE, (wrong.sum(), 2))
            pairs.append((i, j))
            xy.append(both.astype(np.float32))
    matches = Matches(
        pairs=np.array(pairs),
        offsets=np.cumsum([0] + [len(m) for m in xy]),
        xy=np.concatenate(xy),
        confidence=np.ones(sum(len(m) for m in xy), np.float32),
    )
    return matches, np.stack([depth for _, depth in seen])


def no_similarity(count: int) -> np.ndarray:
    return np.zeros((count, count), np.float32)


def test_cameras_are_recovered_from_noisy_matches_with_outliers() -> None:
    rng = np.random.default_rng(4)
    poses = orbit(7, 12, rng)
    matches, _ = matches_of(poses, rng, noise_px=0.4, outliers=0.25)
    solution = solve_cameras(matches, scene_of(7), no_similarity(7))
    errors = relative_pose_errors(solution.cam_from_world, poses)
    worst = np.maximum(errors.rotation_deg, errors.translation_deg)
    assert auc_exact(worst, 5.0) > 60
    assert np.median(errors.rotation_deg) < 1
    assert solution.intrinsics[0, 0, 0] == pytest.approx(FOCAL, rel=0.1)
    assert solution.sources == ("matches",) * 7


def test_a_principal_point_off_the_middle_bends_no_direction() -> None:
    rng = np.random.default_rng(4)
    poses = orbit(7, 12, rng, 0.6)
    matches, _ = matches_of(poses, rng, noise_px=0.1, outliers=0.1, shift_px=(12.0, -9.0))
    solution = solve_cameras(matches, scene_of(7, FOCAL), no_similarity(7))
    np.testing.assert_array_equal(solution.intrinsics[:, :2, 2], np.tile([[224.0, 168]], (7, 1)))
    # what looks through the middle is turned by the angle of the shift, and so are directions
    errors = relative_pose_errors(solution.cam_from_world, poses)
    assert errors.translation_deg.max() < np.rad2deg(np.hypot(12, 9) / FOCAL) + 0.5
    turn = Rotation.from_euler("xy", np.arctan2([9.0, 12.0], FOCAL)).as_matrix()
    turned = turn @ poses
    errors = relative_pose_errors(solution.cam_from_world, turned)
    assert max(errors.translation_deg.max(), errors.rotation_deg.max()) < 0.5


def test_depths_agree_across_frames_in_one_scale() -> None:
    rng = np.random.default_rng(5)
    poses = orbit(5, 12, rng)
    matches, depths = matches_of(poses, rng, noise_px=0.0, outliers=0.0)
    solution = solve_cameras(matches, scene_of(5, FOCAL), no_similarity(5))
    sparse = sparse_depths(solution, 5, SIDE.height, SIDE.width, 21, 28)
    solution, sparse = normalize_scale(solution, sparse)
    assert np.nanmedian(sparse) == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(solution.cam_from_world[0], np.eye(3, 4), atol=1e-9)
    ratios = [np.nanmedian(sparse[s]) / np.median(depths[s]) for s in range(5)]
    assert np.ptp(ratios) / np.mean(ratios) < 0.06


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_far_off_focal_lengths_are_left_for_ones_that_fit_all_matches(factor: float) -> None:
    rng = np.random.default_rng(4)
    matches, _ = matches_of(orbit(7, 12, rng, 0.6), rng, noise_px=0.2, outliers=0.1)
    begun = np.tile(K, (7, 1, 1))
    begun[:, :2, :2] *= factor
    one, nobody = np.zeros(7, np.int64), np.zeros(7, bool)
    found = [begun, *other_focals(matches, begun, one, nobody)][-1]
    np.testing.assert_allclose(found[:, 0, 0], FOCAL, rtol=0.1)
    assert other_focals(matches, begun, one, ~nobody) == []
    assert other_focals(matches, begun[:2], one[:2], nobody[:2]) == []


def test_focal_prior_is_taken_where_all_frames_have_one() -> None:
    rng = np.random.default_rng(6)
    matches, _ = matches_of(orbit(3, 15, rng), rng, noise_px=0.3, outliers=0.0)
    solution = solve_cameras(matches, scene_of(3, 500.0), no_similarity(3))
    np.testing.assert_allclose(solution.intrinsics[:, 0, 0], 500.0)


def test_a_frame_without_matches_is_placed_like_its_most_similar_one() -> None:
    rng = np.random.default_rng(7)
    poses = orbit(4, 12, rng)
    matches, _ = matches_of(poses, rng, noise_px=0.2, outliers=0.0)
    keep = ~np.any(matches.pairs == 3, axis=1)
    kept = np.flatnonzero(keep)
    rows = [matches.of_pair(int(p)) for p in kept]
    matches = Matches(
        pairs=matches.pairs[keep],
        offsets=np.cumsum([0] + [len(xy) for xy, _ in rows]),
        xy=np.concatenate([xy for xy, _ in rows]),
        confidence=np.concatenate([c for _, c in rows]),
    )
    similarity = no_similarity(4)
    similarity[3, 1] = 1
    solution = solve_cameras(matches, scene_of(4), similarity)
    np.testing.assert_array_equal(solution.cam_from_world[3], solution.cam_from_world[1])
    assert solution.sources[3] == "matches: too few, placed like frame 1"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_matches_at_all_give_cameras_at_the_origin(count: int) -> None:
    empty = Matches(
        pairs=np.empty((0, 2), np.int64),
        offsets=np.zeros(1, np.int64),
        xy=np.empty((0, 4), np.float32),
        confidence=np.empty(0, np.float32),
    )
    solution = solve_cameras(empty, scene_of(count), no_similarity(count))
    np.testing.assert_array_equal(solution.cam_from_world, np.tile(np.eye(3, 4), (count, 1, 1)))
    assert np.all(np.isfinite(solution.intrinsics))
    sparse = sparse_depths(solution, count, 336, 448, 21, 28)
    assert np.isnan(sparse).all()
    _, sparse = normalize_scale(solution, sparse)
    assert np.isnan(sparse).all()


def test_random_matches_do_not_make_an_edge() -> None:
    rng = np.random.default_rng(8)
    xy = rng.uniform((0, 0, 0, 0), (448, 336, 448, 336), (60, 4)).astype(np.float32)
    edge = relative_pose(0, 1, xy, np.ones(60, np.float32), K, K)
    assert edge is None or edge.weight < 20


def test_two_view_depths_are_exact_for_exact_rays() -> None:
    rng = np.random.default_rng(9)
    poses = orbit(2, 20, rng)
    R = poses[1, :, :3] @ poses[0, :, :3].T
    t = poses[1, :, 3] - R @ poses[0, :, 3]
    world = rng.uniform(-1, 1, (30, 3))
    cameras = [world @ p[:, :3].T + p[:, 3] for p in poses]
    rays = [c[:, :2] / c[:, 2:] for c in cameras]
    z_i, z_j = two_view_depths(rays[0], rays[1], R, t)
    np.testing.assert_allclose(z_i, cameras[0][:, 2], rtol=1e-9)
    np.testing.assert_allclose(z_j, cameras[1][:, 2], rtol=1e-9)


def epipolar_pairs(ratios: list[float], camera_of: list[int]) -> list[EpipolarPair]:
    """Exact pairs of neighbouring and next-neighbouring views of an orbit."""
    # cameras that fixate one point leave a family of focal lengths open
    poses = orbit(len(camera_of), 11, np.random.default_rng(10), wander=0.9)
    center = np.array([0.5, 0.4])
    pairs = []
    for hop in (1, 2):
        for i in range(len(poses) - hop):
            j = i + hop
            R = poses[j, :, :3] @ poses[i, :, :3].T
            t = poses[j, :, 3] - R @ poses[i, :, 3]
            skew = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
            inverse = [
                np.linalg.inv(
                    np.array(
                        [[ratios[camera_of[s]], 0, 0.5], [0, ratios[camera_of[s]], 0.4], [0, 0, 1]]
                    )
                )
                for s in (i, j)
            ]
            F = inverse[1].T @ skew @ R @ inverse[0]
            pairs.append(
                EpipolarPair(
                    i=camera_of[i],
                    j=camera_of[j],
                    F=F,
                    weight=1.0,
                    center_i=center,
                    center_j=center,
                )
            )
    return pairs


@pytest.mark.parametrize("ratio", [0.6, 0.9, 1.6])
def test_focal_ratio_is_found_from_exact_fundamental_matrices(ratio: float) -> None:
    found = focal_ratios(epipolar_pairs([ratio], [0] * 6), 1)
    np.testing.assert_allclose(found, [ratio], rtol=0.05)


def test_each_camera_gets_its_own_focal_ratio() -> None:
    ratios = [0.8, 1.3, 1.0]
    found = focal_ratios(epipolar_pairs(ratios, [0, 1, 2, 0, 1, 2, 0, 1]), 3)
    np.testing.assert_allclose(found, ratios, rtol=0.1)


def test_focal_ratio_without_evidence_is_the_usual_one() -> None:
    np.testing.assert_allclose(focal_ratios([], 2), [1.2, 1.2])
