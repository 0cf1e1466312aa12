"""Points fitted to cameras that stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pycolmap
import pytest
from adjusting import seeded
from scipy.spatial.transform import Rotation
from synthetic import disturbed, synthetic_scene, through_lens

from vggt_sfm.ba.bundle import measure, read_bundle
from vggt_sfm.ba.points import _jacobians, fit_points

STEP = 1e-6
# Of central differences of this step, relative to the largest derivative.
TOLERANCE = 1e-7


@pytest.mark.parametrize("model", ["SIMPLE_PINHOLE", "OPENCV_FISHEYE"])
def test_jacobians_are_those_of_central_differences(model: str) -> None:
    camera = pycolmap.Camera.create_from_model_name(0, model, 300.0, 400, 300)
    rng = np.random.default_rng(1)
    xyz = rng.uniform([-1, -1, 1.5], [1, 1, 3.5], (20, 3))
    turn = Rotation.from_rotvec([0.1, -0.2, 0.3]).as_matrix()
    pose = np.column_stack([turn, [0.1, 0.2, 0.3]])
    bent = np.full(20, camera.is_perspective_fisheye())
    assert bent.all() == (model == "OPENCV_FISHEYE")
    found = _jacobians(np.tile(pose, (20, 1, 1)), np.full(20, 300.0), bent, xyz)
    for axis in range(3):
        move = STEP * np.eye(3)[axis]
        ahead, behind = (
            camera.img_from_cam((xyz + sign * move) @ pose[:, :3].T + pose[:, 3])
            for sign in (1, -1)
        )
        np.testing.assert_allclose(
            found[:, :, axis], (ahead - behind) / (2 * STEP), atol=TOLERANCE * np.abs(found).max()
        )


@pytest.mark.parametrize("model", ["SIMPLE_PINHOLE", "OPENCV_FISHEYE"])
def test_rough_points_come_to_where_cameras_see_them(model: str) -> None:
    lens = pycolmap.Camera.create_from_model_name(0, model, 300.0, 400, 300)
    exact = synthetic_scene(num_frames=5, num_points=80, arc_deg=60)
    rough = disturbed(exact, depth=0.2)
    bundle = read_bundle(seeded(through_lens(rough, lens, 0.0), camera_model=model))
    bundle = replace(bundle, cameras=(lens,))
    every = np.ones(len(bundle.xy), bool)
    fitted = fit_points(fit_points(bundle, every, 20.0, 6), every, 3.0, 6)
    assert np.median(measure(bundle)[0]) > 2
    assert measure(fitted)[0].max() < 1e-3
