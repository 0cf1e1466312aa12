"""Projection, its inverse and its pixel convention."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.cameras import project, unproject

Float64 = NDArray[np.float64]
K = np.array([[300.0, 0, 160], [0, 310, 120], [0, 0, 1]])


@given(
    arrays(np.float64, (4, 2), elements=st.floats(0, 320)),
    arrays(np.float64, 4, elements=st.floats(0.1, 100)),
    arrays(np.float64, 3, elements=st.floats(-3, 3)),
    arrays(np.float64, 3, elements=st.floats(-50, 50)),
)
def test_projection_undoes_lifting(
    xy: Float64, depth: Float64, rotvec: Float64, translation: Float64
) -> None:
    cam_from_world = np.column_stack([Rotation.from_rotvec(rotvec).as_matrix(), translation])
    projected, found = project(unproject(xy, depth, K, cam_from_world), cam_from_world, K)
    np.testing.assert_allclose(found, depth, rtol=1e-9, atol=1e-12)
    # Where the depth is 500 times less than the distance to the world's origin, three digits go.
    np.testing.assert_allclose(projected, xy, atol=1e-6)


def test_a_point_on_the_axis_lands_on_the_principal_point() -> None:
    xy, depth = project(np.array([[0, 0, 2.0], [1, 0, 2.0]]), np.eye(3, 4), K)
    np.testing.assert_array_equal(xy, [[160, 120], [310, 120]])
    np.testing.assert_array_equal(depth, [2, 2])


def test_points_not_in_front_have_no_pixel() -> None:
    xy, depth = project(np.array([[0, 0, -2.0], [0, 1, 0], [0, 0, 1]]), np.eye(3, 4), K)
    assert np.isnan(xy[:2]).all()
    assert np.isfinite(xy[2]).all()
    np.testing.assert_array_equal(depth, [-2, 0, 1])
