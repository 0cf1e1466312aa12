"""The pose of one photograph, or why there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pycolmap
import pytest
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.rigid import rotation_angle_deg
from vggt_sfm.localizing.config import LocalizeConfig
from vggt_sfm.localizing.poses import Lens, PointsSeen, Pose, estimate_pose

_LIMIT_PX = 2.0
_CONFIG = LocalizeConfig()
_CAMERA = pycolmap.Camera(
    camera_id=1, model="SIMPLE_RADIAL", width=800, height=600, params=[700, 400, 300, -0.05]
)
_LENS = Lens(camera=_CAMERA, refine=False)


def _pose(angle: float = 0.3) -> pycolmap.Rigid3d:
    turn = Rotation.from_rotvec([0.1, angle, -0.2]).as_quat()
    return pycolmap.Rigid3d(pycolmap.Rotation3d(turn), np.array([0.2, -0.1, 5.0]))


def _seen(
    rng: np.random.Generator, count: int, noise_px: float = 0.3, spread: float = 1.0
) -> PointsSeen:
    xyz = rng.uniform(-spread, spread, (count, 3))
    in_camera = np.array([_pose() * point for point in xyz])
    xy = _CAMERA.img_from_cam(in_camera) + rng.normal(0, noise_px, (count, 2))
    return PointsSeen(xy=xy, xyz=xyz)


def _joined(*parts: PointsSeen) -> PointsSeen:
    return PointsSeen(
        xy=np.concatenate([part.xy for part in parts]),
        xyz=np.concatenate([part.xyz for part in parts]),
    )


def _by_chance(rng: np.random.Generator, count: int) -> PointsSeen:
    return PointsSeen(xy=rng.uniform(0, 600, (count, 2)), xyz=rng.uniform(-1, 1, (count, 3)))


def test_pose_is_found_among_wrong_matches(rng: np.random.Generator) -> None:
    seen = _joined(_seen(rng, 60), _by_chance(rng, 60))
    found = estimate_pose(seen, _LENS, _LIMIT_PX, _CONFIG)
    assert isinstance(found, Pose)
    assert found.inlier[:60].all()
    assert found.inlier[60:].sum() <= 3
    off = (found.cam_from_world * _pose().inverse()).matrix()
    assert rotation_angle_deg(off[:, :3]) < 0.1
    assert np.linalg.norm(off[:, 3]) < 0.02
    assert np.array_equal(_CAMERA.params, [700, 400, 300, -0.05])


def test_same_pose_where_the_worlds_origin_is_far_away(rng: np.random.Generator) -> None:
    seen, far = _seen(rng, 60), np.array([5e5, -4e6, 300.0])  # as of UTM
    found = estimate_pose(seen, _LENS, _LIMIT_PX, _CONFIG)
    moved = estimate_pose(replace(seen, xyz=seen.xyz + far), _LENS, _LIMIT_PX, _CONFIG)
    assert isinstance(found, Pose)
    assert isinstance(moved, Pose)
    centers = [each.cam_from_world.inverse().translation for each in (found, moved)]
    assert np.abs(centers[1] - far - centers[0]).max() < 1e-5  # 10 digits of 4e6 are left
    assert moved.sigma_deg == pytest.approx(found.sigma_deg, rel=1e-3)


def test_focal_length_is_estimated_where_nothing_is_known(rng: np.random.Generator) -> None:
    guess = pycolmap.Camera(model="SIMPLE_RADIAL", width=800, height=600, params=[960, 400, 300, 0])
    lens = Lens(camera=guess, refine=True, estimate_focal=True)
    found = estimate_pose(_seen(rng, 200), lens, _LIMIT_PX, _CONFIG)
    assert isinstance(found, Pose)
    assert found.camera.mean_focal_length() == pytest.approx(700, rel=0.01)
    assert found.camera.params[3] == pytest.approx(-0.05, abs=0.03)
    assert guess.params[0] == 960


def test_reasons_have_numbers(rng: np.random.Generator) -> None:
    few = estimate_pose(_seen(rng, 19), _LENS, _LIMIT_PX, _CONFIG)
    assert few == "too few points of the model: 19, 20 are needed"
    chance = estimate_pose(_by_chance(rng, 200), _LENS, _LIMIT_PX, _CONFIG)
    assert isinstance(chance, str)
    assert chance.startswith("too few inliers: ")
    assert chance.endswith(" of 200 points agree on a pose")
    corner = _seen(rng, 40, noise_px=1.0, spread=0.05)
    uncertain = estimate_pose(corner, _LENS, _LIMIT_PX, _CONFIG)
    assert isinstance(uncertain, str)
    assert uncertain.startswith("too uncertain: ")


def test_share_of_inliers_counts(rng: np.random.Generator) -> None:
    seen = _joined(_seen(rng, 30), _by_chance(rng, 120))
    refused = estimate_pose(seen, _LENS, _LIMIT_PX, _CONFIG)
    assert isinstance(refused, str)
    assert "of 150 points agree" in refused
    accepted = estimate_pose(seen, _LENS, _LIMIT_PX, replace(_CONFIG, min_inlier_ratio=0.1))
    assert isinstance(accepted, Pose)


def test_two_poses_are_ambiguous_and_two_near_ones_are_not(rng: np.random.Generator) -> None:
    first = _seen(rng, 60)

    def moved_by(angle: float) -> PointsSeen:
        second = _seen(rng, 40)
        turn = _pose().inverse() * _pose(0.3 + angle)
        return replace(second, xyz=np.array([turn.inverse() * point for point in second.xyz]))

    far = estimate_pose(_joined(first, moved_by(0.5)), _LENS, _LIMIT_PX, _CONFIG)
    assert isinstance(far, str)
    assert far.startswith("ambiguous: 6")
    near = estimate_pose(_joined(first, moved_by(0.02)), _LENS, _LIMIT_PX, _CONFIG)
    assert isinstance(near, Pose)


def test_config_is_checked() -> None:
    for wrong in ({"min_inliers": 5}, {"min_inlier_ratio": 1.5}, {"max_error_px": 0.0}):
        with pytest.raises(ValueError, match="LocalizeConfig"):
            LocalizeConfig(**wrong)  # type: ignore[arg-type]
