"""The similarity between point sets."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.alignment import umeyama

Float64 = NDArray[np.float64]


@given(
    st.integers(0, 1000),
    st.floats(1e-3, 1e3),
    arrays(np.float64, 3, elements=st.floats(-np.pi, np.pi)),
    arrays(np.float64, 3, elements=st.floats(-10, 10)),
)
def test_a_similarity_is_recovered(
    seed: int, scale: float, rotvec: Float64, translation: Float64
) -> None:
    source = np.random.default_rng(seed).normal(size=(10, 3))
    rotation = Rotation.from_rotvec(rotvec).as_matrix()
    target = scale * source @ rotation.T + translation
    found = umeyama(source, target)
    assert found[0] == pytest.approx(scale, rel=1e-9)
    # Round-off of the target is relative to the translation, which may be 10^4 times the scale.
    np.testing.assert_allclose(found[1], rotation, atol=1e-9)
    np.testing.assert_allclose(found[2], translation, atol=1e-9 * (1 + scale))


def test_noisy_points_agree_with_pycolmap(rng: np.random.Generator) -> None:
    source = rng.normal(size=(30, 3))
    target = 2 * source @ Rotation.random(rng=rng).as_matrix().T + rng.normal(size=(30, 3))
    scale, rotation, translation = umeyama(source, target)
    expected = pycolmap.estimate_sim3d(source, target)
    matrix = np.column_stack([scale * rotation, translation])
    np.testing.assert_allclose(matrix, expected.matrix(), atol=1e-9)


def test_mirrored_points_are_not_mirrored_back(rng: np.random.Generator) -> None:
    source = rng.normal(size=(10, 3))
    _, rotation, _ = umeyama(source, source * [1, 1, -1])
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_points_on_a_line_still_align(rng: np.random.Generator) -> None:
    source = np.outer(rng.normal(size=5), [1.0, 2, 3])
    target = 3 * source @ Rotation.random(rng=rng).as_matrix().T
    scale, rotation, translation = umeyama(source, target)
    np.testing.assert_allclose(scale * source @ rotation.T + translation, target, atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)


@pytest.mark.parametrize("source", [np.ones((4, 3)), np.full((4, 3), 0.1), np.zeros((0, 3))])
def test_coinciding_points_are_refused(source: Float64) -> None:
    with pytest.raises(ValueError, match="umeyama"):
        umeyama(source, np.arange(3.0 * len(source)).reshape(-1, 3))


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match=r"umeyama\.target: 1 of 6 values are not finite"):
        umeyama(np.eye(3)[:2], np.array([[0, 0, np.nan], [1, 2, 3]]))
