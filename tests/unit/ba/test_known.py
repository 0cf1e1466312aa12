"""What a user knows pulls as firmly as its sigma says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from adjusting import seeded
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from synthetic import SyntheticScene, disturbed, synthetic_scene, with_frames

from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.bundle import Bundle, read_bundle
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.ba.knowledge import Knowledge, KnownCamera, KnownPose, plain_pose
from vggt_sfm.ba.priors import make_priors
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.ba.solve import Round, solve
from vggt_sfm.geometry.alignment import umeyama
from vggt_sfm.geometry.rigid import invert, transform_points

Float64 = NDArray[np.float64]
SEEDS = 50
# The standard deviation of 50 normal numbers is 1 +- 0.1: three of those.
SPREAD = pytest.approx(1, abs=0.3)
NOISE_PX = 0.3
EXACT = synthetic_scene(num_frames=5, num_points=40, arc_deg=80)
NAMES = tuple(frame.name for frame in EXACT.scene.frames)


def noisy(seed: int, noise_px: float) -> Bundle:
    rng = np.random.default_rng([seed, 0])
    xy = EXACT.tracks.xy + rng.normal(0, noise_px, EXACT.tracks.xy.shape)
    data = replace(EXACT, tracks=replace(EXACT.tracks, xy=xy))
    model = seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig())
    return read_bundle(model)


def solved(bundle: Bundle, knowledge: Knowledge, noise_px: float, **free: bool) -> Bundle:
    active = np.ones(len(bundle.xy), bool)
    config = BundleConfig(pose_prior=False, focal_sigma=1e6)
    priors = make_priors(bundle, active, noise_px, config, knowledge)
    step = Round(name="test", loss_px=10 * noise_px, max_iterations=60, tolerance=1e-10, **free)
    return solve(bundle, active, step, priors, lambda: None)[0]


def known_focal(mean: float, sigma: float) -> Knowledge:
    camera = KnownCamera(
        model="SIMPLE_PINHOLE", params=(mean, 200, 150), sigma=(sigma, 0, 0), names=NAMES
    )
    return Knowledge(cameras=(camera,))


def test_a_focal_length_between_prior_and_tracks_errs_as_both_say() -> None:
    free, held, prior_sigma = [], [], 2.0
    for seed in range(SEEDS):
        bundle = noisy(seed, NOISE_PX)
        mean = 440 + prior_sigma * np.random.default_rng([1, seed]).normal()
        for found, sigma in ((free, 1e6), (held, prior_sigma)):
            result = solved(bundle, known_focal(mean, sigma), NOISE_PX, refine_focal=True)
            found.append(result.cameras[0].focal_length - 440)
    tracks_sigma = float(np.std(free))
    assert 0.5 < tracks_sigma / prior_sigma < 5  # or one of them would decide alone
    expected = 1 / np.hypot(1 / tracks_sigma, 1 / prior_sigma)
    assert np.sqrt(np.mean(np.square(held))) / expected == SPREAD


def known_poses(rotation_sigma: float, position_sigma: float, seed: int) -> Knowledge:
    """The true poses, each off by as much as is said; infinite sigmas: not off, not believed."""
    rng = np.random.default_rng([2, seed])
    poses = {}
    for name, pose in zip(NAMES, EXACT.cam_from_world, strict=True):
        turn, shift = rng.normal(size=3), rng.normal(size=3)
        off = rotation_sigma if np.isfinite(rotation_sigma) else 0.0
        rotation = Rotation.from_rotvec(off * turn).as_matrix() @ pose[:, :3]
        center = invert(pose)[:, 3] + position_sigma * shift
        known = np.column_stack([rotation, -rotation @ center])
        poses[name] = KnownPose(
            cam_from_world=plain_pose(known),
            rotation_sigma_rad=rotation_sigma,
            position_sigma=position_sigma,
        )
    return Knowledge(poses=poses)


def test_positions_give_scale_and_place_as_exactly_as_they_are_known() -> None:
    """Exact tracks leave a similarity open; n positions fix it as least squares would."""
    sigma = 0.05
    centers = invert(EXACT.cam_from_world)[:, :, 3]
    spread = np.sqrt(np.square(centers - centers.mean(axis=0)).sum())
    scales, places = [], []
    for seed in range(SEEDS):
        found = solved(noisy(seed, 0.02), known_poses(np.inf, sigma, seed), 0.02)
        scale, _, _ = umeyama(centers, invert(found.cam_from_world)[:, :, 3])
        scales.append((scale - 1) / (sigma / spread))
        middle = (invert(found.cam_from_world)[:, :, 3] - centers).mean(axis=0)
        places.append(middle / (sigma / np.sqrt(len(centers))))
    assert np.sqrt(np.mean(np.square(scales))) == SPREAD
    assert np.sqrt(np.mean(np.square(places))) == pytest.approx(1, abs=0.2)  # of 150 numbers


def test_rotations_turn_the_world_as_exactly_as_they_are_known() -> None:
    sigma = 0.02
    turns = []
    for seed in range(SEEDS):
        found = solved(noisy(seed, 0.02), known_poses(sigma, 1e3, seed), 0.02)
        relative = (
            np.swapaxes(EXACT.cam_from_world[:, :, :3], 1, 2) @ found.cam_from_world[:, :, :3]
        )
        mean = Rotation.from_matrix(relative).mean().as_rotvec()
        turns.append(mean / (sigma / np.sqrt(len(NAMES))))
    assert np.sqrt(np.mean(np.square(turns))) == pytest.approx(1, abs=0.2)


def adjusted(data: SyntheticScene, knowledge: Knowledge, **options: Any) -> Bundle:
    seed = seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig(), knowledge)
    model, report = adjust(seed, BundleConfig(**options), SilentProgress(), knowledge)
    assert report.status == "refined"
    return read_bundle(model)


def rough() -> SyntheticScene:
    exact = synthetic_scene(num_frames=5, num_points=150, arc_deg=80, pixel_noise=0.2)
    return disturbed(exact, rotation_deg=1.0, center=0.05, focal=1.04, depth=0.03)


def test_held_intrinsics_stay_to_the_last_digit() -> None:
    camera = KnownCamera(
        model="RADIAL", params=(441.0, 199, 151, 0.01, 0.0), sigma=(0,) * 5, names=NAMES[:3]
    )
    data = with_frames(rough(), camera_key=["a"] * 5)
    found = adjusted(data, Knowledge(cameras=(camera,)))
    assert len(found.cameras) == 2
    np.testing.assert_array_equal(found.cameras[0].params, camera.params)
    assert found.cameras[0].model.name == "RADIAL"
    assert found.cameras[1].focal_length == pytest.approx(440, rel=0.02)


def test_held_poses_stay_and_the_others_come_to_them() -> None:
    data, truth = rough(), invert(EXACT.cam_from_world)[:, :, 3]
    held = Knowledge(
        poses={
            name: KnownPose(
                cam_from_world=plain_pose(EXACT.cam_from_world[s]),
                rotation_sigma_rad=0,
                position_sigma=0,
            )
            for s, name in enumerate(NAMES[:3])
        }
    )
    predictions = data.predictions.cam_from_world.copy()
    predictions[:3] = EXACT.cam_from_world[:3]
    data = replace(data, predictions=replace(data.predictions, cam_from_world=predictions))
    found = adjusted(data, held)
    np.testing.assert_allclose(found.cam_from_world[:3], EXACT.cam_from_world[:3], atol=1e-12)
    off = np.linalg.norm(invert(found.cam_from_world)[3:, :, 3] - truth[3:], axis=1)
    assert (
        off.max() < 0.02 < np.linalg.norm(invert(predictions)[3:, :, 3] - truth[3:], axis=1).max()
    )


def test_the_result_is_in_the_world_of_what_is_known() -> None:
    known = known_poses(np.inf, 0.01, 7)
    found = adjusted(rough(), known)
    wanted = np.stack([invert(pose.matrix)[:, 3] for pose in known.poses.values()])
    assert np.linalg.norm(invert(found.cam_from_world)[:, :, 3] - wanted, axis=1).max() < 0.05
    error = transform_points(found.cam_from_world[0], found.xyz[:1])
    assert np.isfinite(error).all()


@pytest.mark.parametrize("wrong", [{"position_sigma": -1.0}, {"position_sigma": np.nan}])
def test_sigmas_are_no_negative_numbers(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="standard deviations"):
        KnownPose(cam_from_world=plain_pose(np.eye(3, 4)), **wrong)


def test_seeds_take_known_cameras() -> None:
    known = known_focal(500.0, 1.0)
    model = seed_reconstruction(EXACT.scene, EXACT.predictions, EXACT.tracks, SeedConfig(), known)
    assert [camera.focal_length for camera in model.cameras.values()] == [500.0]
    assert seeded(EXACT).camera(1).focal_length == pytest.approx(440)
