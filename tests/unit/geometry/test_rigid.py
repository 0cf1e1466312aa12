"""Group axioms and angles of rigid motions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.rigid import (
    compose,
    invert,
    quat_xyzw_from_rotation,
    rotation_angle_deg,
    rotation_from_quat_xyzw,
    transform_points,
)

Float64 = NDArray[np.float64]
ROUND_OFF = 1e-9  # coordinates go up to 100, and a chain of three motions loses a few digits

coordinates = st.floats(-100, 100, allow_subnormal=False)
axes = arrays(np.float64, 3, elements=st.floats(-1, 1, allow_subnormal=False)).filter(
    lambda v: np.linalg.norm(v) > 0.1
)
# Anything, near the identity, and near half a turn.
angles = st.one_of(
    st.floats(0, 179), st.floats(0, 1e-6), st.floats(180 - 1e-6, 180, exclude_max=True)
)


@st.composite
def rigids(draw: st.DrawFn) -> Float64:
    axis = draw(axes)
    rotation = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.radians(draw(angles)))
    translation = draw(arrays(np.float64, 3, elements=coordinates))
    return np.column_stack([rotation.as_matrix(), translation])


@given(rigids(), rigids(), rigids())
def test_composition_is_associative(a: Float64, b: Float64, c: Float64) -> None:
    np.testing.assert_allclose(compose(compose(a, b), c), compose(a, compose(b, c)), atol=ROUND_OFF)


@given(rigids())
def test_inverse_undoes_from_both_sides(a: Float64) -> None:
    np.testing.assert_allclose(compose(a, invert(a)), np.eye(3, 4), atol=ROUND_OFF)
    np.testing.assert_allclose(compose(invert(a), a), np.eye(3, 4), atol=ROUND_OFF)


@given(rigids(), rigids(), arrays(np.float64, (5, 3), elements=coordinates))
def test_composition_moves_points_one_after_the_other(a: Float64, b: Float64, x: Float64) -> None:
    np.testing.assert_allclose(
        transform_points(compose(a, b), x),
        transform_points(a, transform_points(b, x)),
        atol=ROUND_OFF,
    )


@given(axes, angles)
def test_angle_is_exact_near_zero_and_near_half_a_turn(axis: Float64, angle_deg: float) -> None:
    rotation = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.radians(angle_deg))
    # 1e-13 degrees is round-off of the matrix entries; the arc cosine would be off by 1e-6.
    assert rotation_angle_deg(rotation.as_matrix()) == pytest.approx(angle_deg, abs=1e-12)


@given(rigids())
def test_quaternions_go_there_and_back(a: Float64) -> None:
    quat_xyzw = quat_xyzw_from_rotation(a[:, :3])
    assert quat_xyzw[3] >= 0
    np.testing.assert_allclose(rotation_from_quat_xyzw(quat_xyzw), a[:, :3], atol=1e-12)
    np.testing.assert_allclose(rotation_from_quat_xyzw(-3 * quat_xyzw), a[:, :3], atol=1e-12)


def test_quarter_turn_about_z_by_hand() -> None:
    quat_xyzw = np.array([0, 0, np.sqrt(0.5), np.sqrt(0.5)])
    expected = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    np.testing.assert_allclose(rotation_from_quat_xyzw(quat_xyzw), expected, atol=1e-15)


def test_zero_quaternion_is_refused() -> None:
    with pytest.raises(ValueError, match="zero norm"):
        rotation_from_quat_xyzw(np.zeros((2, 4)))


def test_batches_agree_with_a_loop(rng: np.random.Generator) -> None:
    a = np.concatenate([Rotation.random(6, rng).as_matrix(), rng.normal(size=(6, 3, 1))], axis=2)
    b, x = a[::-1], rng.normal(size=(6, 3))
    loop = [compose(p, q) for p, q in zip(a, b, strict=True)]
    np.testing.assert_array_equal(compose(a, b), loop)
    np.testing.assert_allclose(
        transform_points(a, x),
        [p[:, :3] @ q + p[:, 3] for p, q in zip(a, x, strict=True)],
        atol=1e-14,
    )
    quats = quat_xyzw_from_rotation(a[:, :, :3].reshape(2, 3, 3, 3))
    assert quats.shape == (2, 3, 4)
    np.testing.assert_allclose(
        rotation_from_quat_xyzw(quats).reshape(6, 3, 3), a[:, :, :3], atol=1e-14
    )
