"""Projection, its inverse and its pixel convention."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.cameras import (
    pixel_centers,
    project,
    rescale_intrinsics,
    unproject,
    unproject_depth,
)
from vggt_sfm.geometry.rigid import invert

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


def test_depth_map_is_lifted_from_pixel_centres(rng: np.random.Generator) -> None:
    depth = rng.uniform(1, 5, (3, 4)).astype(np.float32)
    depth[1, 2] = 0
    cam_from_world = np.column_stack([Rotation.random(rng=rng).as_matrix(), rng.normal(size=3)])
    xyz = unproject_depth(depth, K, cam_from_world)
    world_from_cam = invert(cam_from_world)
    for row in range(3):
        for column in range(4):
            ray = np.array([(column + 0.5 - 160) / 300, (row + 0.5 - 120) / 310, 1])
            expected = world_from_cam[:, :3] @ (ray * depth[row, column]) + world_from_cam[:, 3]
            if depth[row, column] == 0:
                assert np.isnan(xyz[row, column]).all()
            else:
                np.testing.assert_allclose(xyz[row, column], expected, atol=1e-12)


def test_first_pixel_centre() -> None:
    centers = pixel_centers(2, 3)
    assert centers.shape == (2, 3, 2)
    np.testing.assert_array_equal(centers[0, 0], [0.5, 0.5])
    np.testing.assert_array_equal(centers[1, 2], [2.5, 1.5])


def test_rescaled_intrinsics_project_to_rescaled_pixels(rng: np.random.Generator) -> None:
    xyz = rng.uniform(-1, 1, (10, 3)) + np.array([0, 0, 5.0])
    before = K.copy()
    small, _ = project(xyz, np.eye(3, 4), rescale_intrinsics(K, 0.5, 0.25))
    large, _ = project(xyz, np.eye(3, 4), K)
    np.testing.assert_allclose(small, large * [0.5, 0.25], atol=1e-12)
    np.testing.assert_array_equal(K, before)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"unproject_depth\.depth: expected shape \(H, W\)"):
        unproject_depth(np.ones((1, 2, 3), np.float32), K, np.eye(3, 4))
