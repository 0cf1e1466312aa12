"""Every camera model is recovered from a start without distortion, and read back as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from adjusting import seeded
from scipy.spatial.transform import Rotation
from synthetic import SyntheticScene, disturbed, synthetic_scene, through_lens

from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.io.colmap import read_sparse, write_sparse

LENSES = {
    "SIMPLE_PINHOLE": [430.0, 205, 148],
    "PINHOLE": [430.0, 440, 205, 148],
    "SIMPLE_RADIAL": [430.0, 205, 148, -0.15],
    "RADIAL": [430.0, 205, 148, -0.2, 0.06],
    "OPENCV": [430.0, 440, 205, 148, -0.2, 0.06, 0.004, -0.003],
    "OPENCV_FISHEYE": [300.0, 308, 205, 148, -0.03, 0.01, 0.0, 0.0],
}
NOISE_PX = 0.05
# How far parameters may be off, by kind: focal lengths as a share, principal points in px, and
# distortion by what it moves at the corners of the picture, px.
FOCAL, CENTER_PX, CORNER_PX = 0.003, 2.0, 0.5


@pytest.mark.parametrize("model", LENSES)
def test_parameters_are_recovered_and_survive_colmaps_reader(model: str, tmp_path: Path) -> None:
    lens = pycolmap.Camera(model=model, width=400, height=300, params=LENSES[model])
    exact = _rolled(synthetic_scene(num_frames=8, num_points=250, arc_deg=120))
    focal = float(lens.mean_focal_length()) / 440
    # The prediction knows nothing of the lens; its focal length is 5 % off.
    rough = disturbed(exact, rotation_deg=1.0, center=0.05, focal=1.05 * focal, depth=0.05)
    seed = seeded(through_lens(rough, lens, NOISE_PX), camera_model=model)
    config = BundleConfig(refine_distortion="yes", refine_principal_point="yes")
    if model.endswith("PINHOLE"):
        config = BundleConfig(refine_distortion="no", refine_principal_point="yes")
    adjusted, report = adjust(seed, config, SilentProgress())
    assert report.status == "refined"
    (found,) = adjusted.cameras.values()
    assert found.model.name == model
    _assert_close(found, lens)
    write_sparse(tmp_path / "0", adjusted)
    (again,) = read_sparse(tmp_path / "0").cameras.values()
    assert again.model == found.model
    np.testing.assert_array_equal(again.params, found.params)


def _rolled(data: SyntheticScene) -> SyntheticScene:
    """The scene with cameras held at all angles: an upright orbit does not tell fy at all."""
    turns = Rotation.from_rotvec([[0, 0, 0.8 * s] for s in range(len(data.cam_from_world))])
    poses = turns.as_matrix() @ data.cam_from_world
    predictions = replace(data.predictions, cam_from_world=poses)
    return replace(data, cam_from_world=poses, predictions=predictions)


def _assert_close(found: pycolmap.Camera, lens: pycolmap.Camera) -> None:
    for kind in ("focal_length_idxs", "principal_point_idxs"):
        rows = list(getattr(lens, kind)())
        off = np.abs(np.array(found.params)[rows] - np.array(lens.params)[rows])
        limit = FOCAL * 430 if kind.startswith("focal") else CENTER_PX
        assert off.max() < limit, (kind, found.params)
    xy = np.stack(np.meshgrid(np.linspace(40, 360, 9), np.linspace(30, 270, 7)), -1).reshape(-1, 2)
    rays = np.column_stack([lens.cam_from_img(xy), np.ones(len(xy))])
    assert np.linalg.norm(found.img_from_cam(rays) - xy, axis=1).max() < CORNER_PX + CENTER_PX


def test_a_pinhole_gets_a_lens_where_it_is_asked_for() -> None:
    lens = pycolmap.Camera(model="OPENCV", width=400, height=300, params=LENSES["OPENCV"])
    exact = _rolled(synthetic_scene(num_frames=8, num_points=250, arc_deg=120))
    seed = seeded(through_lens(exact, lens, NOISE_PX), camera_model="PINHOLE")
    config = BundleConfig(refine_distortion="yes", refine_principal_point="yes")
    (found,) = adjust(seed, config, SilentProgress())[0].cameras.values()
    assert found.model.name == "OPENCV"
    _assert_close(found, lens)
    plain = adjust(seed, BundleConfig(), SilentProgress())[0]
    assert next(iter(plain.cameras.values())).model.name == "PINHOLE"
