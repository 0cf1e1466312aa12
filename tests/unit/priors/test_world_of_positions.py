"""Positions of cameras say where their world is, as far as they agree."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from known_worlds import (
    EXACT,
    NAMES,
    SAME,
    SCALE,
    SPREAD,
    SPREAD_TRUTH,
    found,
    local_positions,
    off,
    predicted,
)

from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.priors.config import PriorConfig
from vggt_sfm.priors.poses import GivenPoses
from vggt_sfm.priors.world import KnownWorld
from vggt_sfm.scene import GpsPosition


def test_positions_say_where_the_world_is() -> None:
    centers = invert(SPREAD_TRUTH)[:, :, 3]
    world, after = found(local_positions(centers), predictions=predicted(SPREAD))
    assert off(after.cam_from_world, SPREAD_TRUTH).max() < SAME
    np.testing.assert_allclose(after.depth, SCALE * EXACT.predictions.depth, rtol=SAME)
    assert world.placement is not None
    assert (world.placement.applied, world.placement.source) == (True, "positions")
    assert world.placement.scale == pytest.approx(SCALE)
    stays = world.placement.new_from_old  # the result is there already
    assert stays is not None
    assert (stays.scale, stays.translation) == (1.0, (0.0, 0.0, 0.0))
    for name, center in zip(NAMES, centers, strict=True):
        known = world.knowledge.poses[name]
        assert known.rotation_sigma_rad == np.inf
        np.testing.assert_allclose(invert(known.matrix)[:, 3], center, atol=1e-9)


def test_positions_are_as_certain_as_is_said_or_as_the_prediction_fits() -> None:
    rng = np.random.default_rng(3)
    centers = invert(SPREAD_TRUTH)[:, :, 3] + 0.1 * rng.normal(size=(8, 3))
    prediction = predicted(SPREAD)
    (by_fit,) = sigmas(found(local_positions(centers), predictions=prediction)[0])
    assert 0.05 < by_fit < 0.3
    assert sigmas(found(local_positions(centers, 0.5), predictions=prediction)[0]) == {0.5}
    config = PriorConfig(position_sigma=0.2)
    assert sigmas(found(local_positions(centers, 0.5), config, prediction)[0]) == {0.2}


def sigmas(world: KnownWorld) -> set[float]:
    return {pose.position_sigma for pose in world.knowledge.poses.values()}


def test_a_position_that_contradicts_is_left_out_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    centers = invert(SPREAD_TRUTH)[:, :, 3].copy()
    centers += 0.01 * np.random.default_rng(4).normal(size=(8, 3))
    centers[6] += 30
    with caplog.at_level(logging.WARNING):
        world, after = found(local_positions(centers), predictions=predicted(SPREAD))
    assert set(NAMES) - set(world.knowledge.poses) == {NAMES[6]}
    assert world.placement is not None
    assert [one.name for one in world.placement.left_out] == [NAMES[6]]
    assert off(after.cam_from_world, SPREAD_TRUTH).max() < 0.1
    assert after.camera_sources[6] == "synthetic"
    assert f"1 of 8 positions contradict the others and are left out: {NAMES[6]}" in caplog.text


def test_geographic_positions_make_a_world_of_east_north_and_up() -> None:
    east_north_up = invert(SPREAD)[:, :, 3] * 100
    metres = np.array([np.cos(np.radians(48)) * 111_320, 111_200, 1])
    degrees = (east_north_up / metres + [2, 48, 50]).tolist()
    geographic = {
        name: GpsPosition(latitude_deg=lat, longitude_deg=lon, altitude_m=alt)
        for name, (lon, lat, alt) in zip(NAMES, degrees, strict=True)
    }
    source = GivenPoses(geographic=geographic, source="gps")
    world, after = found(source, predictions=predicted(SPREAD))
    assert world.placement is not None
    assert world.placement.georeferenced
    wanted = east_north_up - np.median(east_north_up, axis=0)
    assert np.abs(invert(after.cam_from_world)[:, :, 3] - wanted).max() < 1.5  # of 300 m
    assert sigmas(world) != {np.inf}


def test_positions_of_other_photographs_are_refused() -> None:
    with pytest.raises(InputError, match="--pose-prior: all positions, or all cameras, are one"):
        found(local_positions(np.ones((4, 3))))
