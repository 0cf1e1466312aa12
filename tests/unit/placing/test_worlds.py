"""Worlds are aligned by the cameras that agree, however these stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.alignment import umeyama
from vggt_sfm.placing.worlds import align_worlds

Float64 = NDArray[np.float64]
LAYOUTS = {"room": np.eye(3), "plane": np.diag([1, 1, 0.0]), "line": np.diag([1, 0, 0.0])}
# The robust fit iterates until steps are 1e-10.
SAME = 1e-7


def cameras(rng: np.random.Generator, count: int, layout: str = "room") -> Float64:
    """(count, 3, 4) world_from_cam, turned any way."""
    centers = rng.normal(size=(count, 3)) @ LAYOUTS[layout] @ Rotation.random(rng=rng).as_matrix()
    rotations = Rotation.random(count, rng).as_matrix()
    return np.concatenate([rotations, centers[:, :, None]], axis=2)


def moved(world_from_cam: Float64, scale: float, turn: Rotation, shift: Float64) -> Float64:
    centers = scale * turn.apply(world_from_cam[:, :, 3]) + shift
    rotations = turn.as_matrix() @ world_from_cam[:, :, :3]
    return np.concatenate([rotations, centers[:, :, None]], axis=2)


@given(
    st.integers(0, 2**16),
    st.sampled_from(sorted(LAYOUTS)),
    st.sampled_from([2, 3, 4, 5, 9]),
    st.sampled_from([0.01, 1.0, 300.0]),
)
def test_any_similarity_is_found(seed: int, layout: str, count: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    mine, turn, shift = cameras(rng, count, layout), Rotation.random(rng=rng), rng.normal(size=3)
    found = align_worlds(mine, moved(mine, scale, turn, shift))
    assert found[0] == pytest.approx(scale, rel=SAME)
    np.testing.assert_allclose(found[1], turn.as_matrix(), atol=SAME)
    np.testing.assert_allclose(found[2], shift, atol=SAME * (1 + scale))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(5))
def test_a_camera_that_is_elsewhere_is_passed_over(layout: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mine, turn = cameras(rng, 8, layout), Rotation.random(rng=rng)
    truth = moved(mine, 2.0, turn, np.ones(3))
    mine[3, :, 3] += rng.normal(size=3) * 5
    mine[3, :, :3] = Rotation.random(rng=rng).as_matrix()
    scale, rotation, translation = align_worlds(mine, truth)
    assert scale == pytest.approx(2.0, rel=SAME)
    np.testing.assert_allclose(rotation, turn.as_matrix(), atol=SAME)
    np.testing.assert_allclose(translation, np.ones(3), atol=SAME * 10)


def test_without_a_wrong_camera_it_is_least_squares_of_the_centres(
    rng: np.random.Generator,
) -> None:
    """Where orientations contradict each other, they have no say."""
    mine, truth = cameras(rng, 12), cameras(rng, 12)
    truth[:, :, 3] = mine[:, :, 3] + 0.01 * rng.normal(size=(12, 3))
    for value, expected in zip(
        align_worlds(mine, truth), umeyama(mine[:, :, 3], truth[:, :, 3]), strict=True
    ):
        np.testing.assert_allclose(value, expected, atol=SAME)


@pytest.mark.parametrize("wrong", [0, 1])
def test_nearly_a_line_takes_the_turn_about_it_from_the_orientations(
    rng: np.random.Generator, wrong: int
) -> None:
    """Noise across the line, which is as large as the line is thick, would turn all cameras."""
    mine, turn = cameras(rng, 20, "line"), Rotation.random(rng=rng)
    mine[:, :, 3] += 0.01 * rng.normal(size=(20, 3))
    truth = moved(mine, 1.0, turn, np.zeros(3))
    mine[:, :, 3] += 0.01 * rng.normal(size=(20, 3))
    small = Rotation.from_rotvec(0.001 * rng.normal(size=(20, 3))).as_matrix()
    mine[:, :, :3] = small @ mine[:, :, :3]
    by_centers = umeyama(mine[:, :, 3], truth[:, :, 3])[1]
    along = np.linalg.svd(mine[:, :, 3] - mine[:, :, 3].mean(axis=0))[2]
    mine[:wrong, :, 3] += 50 * along[1]
    found = align_worlds(mine, truth)[1]

    def off_deg(rotation: Float64) -> float:
        return float(np.degrees((Rotation.from_matrix(rotation) * turn.inv()).magnitude()))

    assert off_deg(by_centers) > 5
    assert off_deg(found) < 1


def test_cameras_in_one_place_have_a_turn_only(rng: np.random.Generator) -> None:
    mine, turn = cameras(rng, 4), Rotation.random(rng=rng)
    mine[:, :, 3] = [1.0, 2.0, 3.0]
    scale, rotation, translation = align_worlds(mine, moved(mine, 1.0, turn, np.ones(3)))
    assert np.isnan(scale)
    assert np.isnan(translation).all()
    np.testing.assert_allclose(rotation, turn.as_matrix(), atol=SAME)


def test_wrong_shapes_and_numbers_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"align_worlds\.reference"):
        align_worlds(cameras(rng, 3), cameras(rng, 4))
    with pytest.raises(ValueError, match="not finite"):
        align_worlds(cameras(rng, 3) * np.nan, cameras(rng, 3))
