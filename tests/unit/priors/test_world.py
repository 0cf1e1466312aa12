"""Predictions come to where known cameras are, and give way to these where they contradict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_worlds import (
    EXACT,
    NAMES,
    SAME,
    SCALE,
    SHIFT,
    SPREAD,
    SPREAD_TRUTH,
    TURN,
    found,
    local_positions,
    moved,
    off,
    predicted,
)
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.ba.knowledge import Knowledge, KnownCamera, KnownPose, plain_pose
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.io.plain import from_plain, to_plain
from vggt_sfm.priors.config import PriorConfig
from vggt_sfm.priors.poses import GivenPoses
from vggt_sfm.priors.world import KnownWorld

Float64 = NDArray[np.float64]

HELD = PriorConfig(rotation_sigma_deg=0, position_sigma=0)
TRUTH = moved(EXACT.cam_from_world)


def poses_of(known: Float64, names: Sequence[str] = NAMES) -> GivenPoses:
    pairs = zip(names, known, strict=True)
    return GivenPoses(cam_from_world={name: plain_pose(pose) for name, pose in pairs})


def turned(pose: Float64, degrees: float, shift: float = 0.0) -> Float64:
    """A camera that is turned about its own centre, and then moved."""
    rotation = Rotation.from_rotvec([0, np.radians(degrees), 0]).as_matrix() @ pose[:, :3]
    center = invert(pose)[:, 3] + [shift, 0, 0]
    return np.column_stack([rotation, -rotation @ center])


def test_nothing_known_changes_nothing() -> None:
    world, after = found(GivenPoses())
    assert world == KnownWorld()
    np.testing.assert_array_equal(after.cam_from_world, EXACT.predictions.cam_from_world)
    np.testing.assert_array_equal(after.intrinsics, EXACT.predictions.intrinsics)


@settings(max_examples=30)
@given(st.integers(0, 2**16), st.sampled_from([0.01, 1.0, 300.0]), st.integers(2, 8))
def test_an_exact_prediction_comes_into_the_known_world(seed: int, scale: float, n: int) -> None:
    rng = np.random.default_rng(seed)
    rotations = Rotation.random(8, rng).as_matrix()
    poses = np.concatenate([rotations, rng.normal(size=(8, 3, 1))], axis=2)
    shift = scale * rng.normal(size=3)
    truth = moved(poses, scale, shift)
    _, after = found(poses_of(truth[:n], NAMES[:n]), predictions=predicted(poses))
    assert off(after.cam_from_world, truth).max() < SAME * max(scale, 1)
    np.testing.assert_allclose(after.depth, scale * EXACT.predictions.depth, rtol=SAME)
    assert set(after.camera_sources) == {"synthetic"}


@pytest.mark.parametrize("count", [3, 4, 8])
def test_one_wrong_known_camera_does_not_spoil_the_alignment(count: int) -> None:
    known = TRUTH[:count].copy()
    known[1] = np.column_stack([Rotation.from_rotvec([2, 1, 0]).as_matrix(), [40, -30, 20]])
    _, after = found(poses_of(known, NAMES[:count]))
    right = np.arange(8) != 1
    assert off(after.cam_from_world, TRUTH)[right].max() < SAME
    # It is what the user knows all the same.
    np.testing.assert_array_equal(after.cam_from_world[1], known[1])
    assert [n for n, source in enumerate(after.camera_sources) if source == "known"] == [1]


def test_a_known_camera_in_a_wrong_place_does_not_spoil_the_alignment() -> None:
    known = TRUTH.copy()
    known[5] = turned(known[5], 0, shift=50)
    _, after = found(poses_of(known))
    assert off(after.cam_from_world, TRUTH)[np.arange(8) != 5].max() < SAME


@pytest.mark.parametrize(
    ("degrees", "shift", "gives_way"),
    [(2.9, 0, False), (3.1, 0, True), (0, 0.29, False), (0, 0.31, True)],
)
def test_a_prediction_gives_way_beyond_three_sigmas(
    degrees: float, shift: float, gives_way: bool
) -> None:
    poses = EXACT.cam_from_world.copy()
    poses[2] = turned(poses[2], degrees, shift / SCALE)
    config = PriorConfig(rotation_sigma_deg=1, position_sigma=0.1)
    world, after = found(poses_of(TRUTH), config, predicted(poses))
    assert after.camera_sources == tuple(
        "known" if gives_way and n == 2 else "synthetic" for n in range(8)
    )
    if gives_way:
        np.testing.assert_array_equal(after.cam_from_world[2], TRUTH[2])
    else:
        assert off(after.cam_from_world, moved(poses)).max() < SAME
    assert world.knowledge.poses[NAMES[2]] == KnownPose(
        cam_from_world=plain_pose(TRUTH[2]),
        rotation_sigma_rad=float(np.radians(1)),
        position_sigma=0.1,
    )


def test_held_cameras_are_taken_to_the_last_digit() -> None:
    rng = np.random.default_rng(0)
    poses = np.stack([turned(pose, rng.normal(), rng.normal()) for pose in EXACT.cam_from_world])
    _, after = found(poses_of(TRUTH[:5], NAMES[:5]), HELD, predicted(poses))
    np.testing.assert_array_equal(after.cam_from_world[:5], TRUTH[:5])
    assert after.camera_sources == ("known",) * 5 + ("synthetic",) * 3


@pytest.mark.parametrize("count", [1, 2])
def test_few_known_cameras_are_enough(count: int) -> None:
    world, after = found(poses_of(TRUTH[:count], NAMES[:count]))
    truth = TRUTH
    if count == 1:  # which says nothing of the scale
        old, new = invert(EXACT.cam_from_world)[0, :, 3], invert(TRUTH)[0, :, 3]
        truth = moved(EXACT.cam_from_world, 1.0, new - TURN.apply(old))
    assert off(after.cam_from_world, truth).max() < SAME
    assert world.knowledge.poses[NAMES[0]].position_sigma > 0.01


@pytest.mark.parametrize("place", [np.zeros(3), np.array([1.0, 2.0, 3.0]), np.array([5e5, 4e6, 0])])
def test_known_cameras_in_one_place_keep_the_predicted_scale(place: Float64) -> None:
    rotations = Rotation.random(8, np.random.default_rng(1)).as_matrix()
    known = np.concatenate([rotations, -(rotations @ place)[:, :, None]], axis=2)
    centers = invert(known)[:, :, 3]
    assert np.ptp(centers, axis=0).max() < 1e-8  # and not 0 where rounding is not
    poses = np.concatenate([rotations, EXACT.cam_from_world[:, :, 3:]], axis=2)
    world, after = found(poses_of(known), predictions=predicted(poses))
    assert world.known_from_predicted is not None
    assert world.known_from_predicted.scale == 1
    assert {pose.position_sigma for pose in world.knowledge.poses.values()} == {0.02}
    np.testing.assert_array_equal(after.depth, EXACT.predictions.depth)


def test_predictions_in_one_place_come_to_the_known_cameras() -> None:
    poses = EXACT.cam_from_world.copy()
    poses[:, :, 3] = -poses[:, :, :3] @ [1.0, 2.0, 3.0]
    world, after = found(poses_of(TRUTH), predictions=predicted(poses))
    assert world.known_from_predicted is not None
    assert world.known_from_predicted.scale == 1
    assert off(after.cam_from_world, TRUTH).max() < 6 * 0.02 * 8  # 3 sigmas, or known


def test_points_come_along() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(size=(8, 150, 200, 3)).astype(np.float32)
    points[0, 0, 0] = np.nan
    confidence = np.ones((8, 150, 200), np.float32)
    both = replace(EXACT.predictions, world_points=points, world_points_confidence=confidence)
    _, after = found(poses_of(TRUTH), predictions=both)
    assert after.world_points is not None
    assert after.world_points.dtype == np.float32
    wanted = SCALE * TURN.apply(points.reshape(-1, 3)) + SHIFT
    np.testing.assert_allclose(after.world_points.reshape(-1, 3), wanted, atol=1e-4)
    assert after.depth.dtype == np.float32


def camera(model: str, *params: float) -> KnownCamera:
    sigma = (0.0,) * len(params)
    return KnownCamera(model=model, params=params, sigma=sigma, names=NAMES[:3])


@pytest.mark.parametrize("params", [(500, 510, 190, 140), (500, 510, 190, 140, -0.1, 0, 0, 0)])
def test_known_intrinsics_take_the_place_of_predicted_ones(params: tuple[float, ...]) -> None:
    lens = camera("PINHOLE" if len(params) == 4 else "OPENCV", *params)
    world, after = found(GivenPoses(), cameras=(lens,))
    assert world == KnownWorld(knowledge=Knowledge(cameras=(lens,)))
    half = np.array([[250, 0, 95], [0, 255, 70], [0, 0, 1]])  # the network sees half the size
    np.testing.assert_allclose(after.intrinsics[:3], np.stack([half] * 3), rtol=1e-12)
    np.testing.assert_array_equal(after.intrinsics[3:], EXACT.predictions.intrinsics[3:])
    np.testing.assert_array_equal(after.cam_from_world, EXACT.predictions.cam_from_world)


def test_a_fisheye_lens_has_no_pinhole_intrinsics() -> None:
    lens = camera("OPENCV_FISHEYE", 300, 300, 200, 150, 0, 0, 0, 0)
    _, after = found(GivenPoses(), cameras=(lens,))
    np.testing.assert_array_equal(after.intrinsics, EXACT.predictions.intrinsics)


@pytest.mark.parametrize("source", ["nothing", "intrinsics", "poses", "positions"])
def test_a_known_world_survives_json(source: str) -> None:
    lens = camera("PINHOLE", 500, 510, 190, 140)
    told = {
        "nothing": GivenPoses(),
        "intrinsics": GivenPoses(),
        "poses": poses_of(TRUTH),
        "positions": local_positions(invert(SPREAD_TRUTH)[:, :, 3]),
    }[source]
    cameras = (lens,) if source != "nothing" else ()
    world, _ = found(told, predictions=predicted(SPREAD), cameras=cameras)
    assert (source == "positions") == (
        np.inf in {p.rotation_sigma_rad for p in world.knowledge.poses.values()}
    )
    again = from_plain(KnownWorld, json.loads(json.dumps(to_plain(world))))
    assert again == world
    assert (again == KnownWorld()) == (source == "nothing")
