"""The robust similarity: right, robust, and as certain as it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.alignment import umeyama
from vggt_sfm.placing.candidates import through_pairs
from vggt_sfm.placing.least_squares import refine
from vggt_sfm.placing.level import up_guess
from vggt_sfm.placing.similarity import Fit, Noise, Targets, fit_similarity

Float64 = NDArray[np.float64]
SCALE = 8.0


def _case(
    seed: int,
    *,
    num: int = 8,
    noise: float = 0.0,
    said: float = 1.0,
    kind: Noise = "given",
    wrong: int = 0,
    line: bool = False,
    heights: bool = True,
    level_error_deg: float = 0.0,
) -> tuple[Float64, Targets, Float64, Float64]:
    """Return camera centres, their targets, a guessed vertical and the true rotation."""
    rng = np.random.default_rng(seed)
    along = rng.normal(size=(num, 3)) * [20, 20, 6]
    if line:
        along = along[:, :1] * [[1.0, 0.3, 0.1]]
    truth = along + np.array([5e5, 5e6, 400.0])
    rotation = Rotation.random(random_state=seed).as_matrix()
    centers = (truth - [5e5 + 3, 5e6 - 4, 390]) @ rotation / SCALE
    tilt = Rotation.from_rotvec(np.radians(level_error_deg) * rng.normal(size=3) / np.sqrt(3))
    shape = np.array([1.0, 1.0, 2.0])
    xyz = truth + noise * shape * rng.normal(size=truth.shape)
    xyz[:wrong] += rng.normal(size=(wrong, 3)) * 100
    if not heights:
        xyz[:, 2] = np.nan
    targets = Targets(xyz=xyz, sigma=np.full((num, 3), said) * shape, noise=kind)
    return centers, targets, rotation.T @ tilt.apply([0.0, 0.0, 1.0]), rotation


def _fit(seed: int, **options: Any) -> Fit:
    centers, targets, up, _ = _case(seed, **options)
    return fit_similarity(centers, targets, up)


@pytest.mark.parametrize("num", [3, 4, 8, 40])
def test_exact_positions_give_the_exact_similarity(num: int) -> None:
    centers, targets, up, rotation = _case(1, num=num, said=0.01)
    fit = fit_similarity(centers, targets, up)
    assert fit.scale == pytest.approx(SCALE, rel=1e-9)
    np.testing.assert_allclose(fit.rotation, rotation, atol=1e-8)
    moved = fit.scale * centers @ fit.rotation.T + fit.translation
    np.testing.assert_allclose(moved, targets.xyz, atol=1e-5)  # at 5000 km
    assert not fit.leveled
    assert fit.inliers.all()


def test_least_squares_with_equal_weights_is_umeyama() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(2, 9, 3))
    source -= source.mean(axis=0)
    scale, rotation, translation = umeyama(source, target)
    off = (scale * 1.2, Rotation.from_rotvec([0.1, 0.0, 0.1]).as_matrix() @ rotation, translation)
    (found, turned, moved), normal = refine(off, source, target, np.ones((9, 3)), None)
    assert found == pytest.approx(scale, rel=1e-9)
    np.testing.assert_allclose(turned, rotation, atol=1e-6)
    np.testing.assert_allclose(moved, translation, atol=1e-6)
    np.testing.assert_allclose(normal.vector, 0, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"num": 8, "kind": "given"},
        {"num": 20, "kind": "assumed", "said": 3.0},  # a guess three times too high
        {"num": 8, "kind": "unknown", "wrong": 1},
        {"num": 20, "kind": "given", "wrong": 6},
        {"num": 8, "kind": "given", "line": True, "level_error_deg": 6.0},
    ],
)
def test_the_stated_uncertainty_is_the_real_one(options: dict[str, Any]) -> None:
    fits = [_fit(seed, noise=1.0, **options) for seed in range(200)]
    errors = np.array([np.log(fit.scale / SCALE) / fit.scale_sigma for fit in fits])
    assert 0.85 <= errors.std() <= 1.15
    assert 0.58 <= np.mean(np.abs(errors) < 1) <= 0.78
    assert abs(errors.mean()) < 0.25


def test_without_heights_the_stated_uncertainty_is_not_too_small() -> None:
    fits = [_fit(s, noise=1.0, heights=False, level_error_deg=8.0) for s in range(100)]
    errors = np.array([np.log(fit.scale / SCALE) / fit.scale_sigma for fit in fits])
    assert all(fit.leveled for fit in fits)
    assert 0.6 <= errors.std() <= 1.15


def test_a_sigma_that_is_too_small_is_corrected_and_one_that_is_too_large_believed() -> None:
    right = np.mean([_fit(s, noise=1.0, said=1.0).scale_sigma for s in range(30)])
    small = np.mean([_fit(s, noise=1.0, said=0.01).scale_sigma for s in range(30)])
    large = np.mean([_fit(s, noise=1.0, said=10.0).scale_sigma for s in range(30)])
    assert small == pytest.approx(right, rel=0.2)
    assert large == pytest.approx(10 * right, rel=0.3)


@pytest.mark.parametrize(("num", "wrong"), [(5, 1), (8, 1), (8, 2), (20, 8), (200, 90)])
@pytest.mark.parametrize("heights", [True, False])
def test_wrong_positions_are_left_out_and_change_nothing(
    num: int, wrong: int, heights: bool
) -> None:
    for seed in range(4):
        options: dict[str, Any] = {"num": num, "noise": 0.01, "kind": "assumed", "said": 3.0}
        centers, targets, up, _ = _case(seed, wrong=wrong, heights=heights, **options)
        fit = fit_similarity(centers, targets, up)
        assert not fit.inliers[:wrong].any()
        assert fit.inliers[wrong:].all()
        assert fit.scale == pytest.approx(SCALE, rel=0.02)


def test_on_a_line_scale_heading_and_slope_are_right_and_the_roll_is_that_of_the_photos() -> None:
    centers, targets, up, rotation = _case(3, line=True)
    fit = fit_similarity(centers, targets, up)
    assert fit.leveled
    assert fit.scale == pytest.approx(SCALE, rel=1e-6)
    np.testing.assert_allclose(fit.rotation, rotation, atol=1e-6)
    assert fit.residual_m.max() < 1e-4
    centers, targets, up, rotation = _case(3, line=True, level_error_deg=10)
    fit = fit_similarity(centers, targets, up)
    assert fit.residual_m.max() < 1.0  # over 50 m: the slope is that of the positions
    assert np.degrees(fit.rotation_sigma_rad) == pytest.approx(10, abs=2)


def test_pairs_with_a_vertical_are_minimal_solutions() -> None:
    centers, targets, up, rotation = _case(5, num=4)
    middle = targets.xyz.mean(axis=0)
    found = through_pairs(centers, targets.xyz - middle, up)
    assert len(found) == 6
    for scale, turned, translation in found:
        assert scale == pytest.approx(SCALE, rel=1e-6)
        np.testing.assert_allclose(turned, rotation, atol=1e-6)
        moved = scale * centers @ turned.T + translation
        np.testing.assert_allclose(moved, targets.xyz - middle, atol=1e-4)


def test_positions_that_coincide_or_are_too_few_are_refused() -> None:
    centers, targets, up, _ = _case(0)
    together = Targets(xyz=np.tile(targets.xyz[:1], (8, 1)), sigma=targets.sigma)
    with pytest.raises(ValueError, match="coincide"):
        fit_similarity(centers, together, up)
    with pytest.raises(ValueError, match="coincide"):
        fit_similarity(np.ones((8, 3)), targets, up)
    with pytest.raises(ValueError, match="3 positions are needed, got 2"):
        fit_similarity(centers[:2], Targets(xyz=targets.xyz[:2], sigma=targets.sigma[:2]), up)
    with pytest.raises(ValueError, match="not finite"):
        Targets(xyz=np.full((3, 3), np.nan), sigma=np.ones((3, 3)))


def _looking(directions: Float64, down: Float64) -> Float64:
    """Return (S, 3, 4) cameras that look along directions, their image's lower edge to ``down``."""
    forward = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    lower = down - forward * np.einsum("si,si->s", forward, down)[:, None]
    lower /= np.linalg.norm(lower, axis=1, keepdims=True)
    rows = np.stack([np.cross(lower, forward), lower, forward], axis=1)
    return np.concatenate([rows, np.zeros((len(rows), 3, 1))], axis=2)


def test_up_is_found_for_people_aircraft_and_a_fixed_direction() -> None:
    rng = np.random.default_rng(0)
    turn = Rotation.random(random_state=1)
    ground = np.tile([0.0, 0.0, -1.0], (12, 1))
    heading = rng.uniform(0, 2 * np.pi, 12)
    around = np.stack([np.cos(heading), np.sin(heading), np.zeros(12)], axis=1)
    walker = _looking(around + np.array([0.0, 0.0, -0.4]), ground)
    straight_down = _looking(ground + 1e-3 * around, around)
    one_way = _looking(np.tile([1.0, 0.2, 0.0], (12, 1)), ground)
    for cameras in (walker, straight_down, one_way):
        cameras[:, :, :3] = cameras[:, :, :3] @ turn.as_matrix().T
        found = up_guess(cameras)
        np.testing.assert_allclose(found, turn.apply([0.0, 0.0, 1.0]), atol=0.02)
