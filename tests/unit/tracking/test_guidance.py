"""Where a prediction puts points, how far it is trusted, and what it says two frames share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from room import SIZE, network_matches, room
from scipy.spatial.transform import Rotation
from synthetic import plain_scene

from vggt_sfm.scene import PixelMap, Predictions, Scene, Size
from vggt_sfm.tracking.guidance import Guidance, epipolar_distance

Float64 = NDArray[np.float64]


def centres(step: int = 9) -> Float64:
    """Photo pixels that are centres of depth pixels, where depth is exact."""
    x, y = np.meshgrid(np.arange(10, 150, step), np.arange(10, 110, step))
    return np.stack([x, y], axis=-1).reshape(-1, 2) * 2.0 + 1.0


def guidance(predictions: Predictions | None = None) -> Guidance:
    return Guidance(room().scene, predictions or room().predictions)


def turned(predictions: Predictions, frame: int) -> Predictions:
    """Return the predictions with a camera that looks the other way."""
    cam_from_world = predictions.cam_from_world.copy()
    turn = Rotation.from_euler("y", 180, degrees=True).as_matrix()
    cam_from_world[frame] = turn @ cam_from_world[frame]
    return replace(predictions, cam_from_world=cam_from_world)


def true_matches(i: int, j: int, shift: float = 0.0) -> tuple[Float64, Float64]:
    """Network pixels of both frames; the second ones off by ``shift`` photo px to the right."""
    exact = guidance()
    first = centres()
    second = exact.locate(exact.lift(i, first), j)
    inside = ((second > 0) & (second < SIZE)).all(axis=1)
    assert inside.sum() > 40
    return first[inside] / 2, (second[inside] + [shift, 0.0]) / 2


def test_points_are_lifted_onto_the_walls_and_found_again() -> None:
    exact, xy = guidance(), centres()
    for i in range(3):
        xyz = exact.lift(i, xy)
        off = np.abs(xyz - [-3.0, 1.5, 6.0]).min(axis=1)  # left wall, floor, back wall
        assert off.max() < 1e-5
        np.testing.assert_allclose(exact.locate(xyz, i), xy, atol=1e-9)


def test_located_points_lie_on_their_epipolar_lines() -> None:
    exact, xy = guidance(), centres()
    for i, j in ((0, 2), (2, 0), (1, 2)):
        there = exact.locate(exact.lift(i, xy), j)
        assert np.linalg.norm(there - xy, axis=1).max() > 20
        assert epipolar_distance(exact.fundamental(i, j), xy, there).max() < 1e-9
        # and a distance is one: across the line it is the whole step, along it nothing
        line = exact.fundamental(i, j) @ np.append(xy[0], 1)
        normal = line[:2] / np.linalg.norm(line[:2])
        for step, expected in ((normal, 5.0), (normal[::-1] * [1, -1], 0.0)):
            moved = there[:1] + 5.0 * step
            distance = epipolar_distance(exact.fundamental(i, j), xy[:1], moved)
            assert distance[0] == pytest.approx(expected, abs=1e-6)


def test_points_outside_without_depth_or_behind_are_nowhere() -> None:
    exact = guidance()
    assert np.isnan(exact.lift(0, np.array([[-5.0, 10.0], [10.0, 300.0], [np.nan, 1.0]]))).all()
    blind = guidance(replace(room().predictions, depth=np.zeros((3, 120, 160), np.float32)))
    assert np.isnan(blind.lift(0, centres())).all()
    away = guidance(turned(room().predictions, 1))
    assert np.isnan(away.locate(exact.lift(0, centres()), 1)).all()
    assert exact.lift(0, np.empty((0, 2))).shape == (0, 3)


def test_windows_follow_the_misses_of_the_matches() -> None:
    side = max(SIZE)
    unknown = guidance().window(0, 1)
    assert unknown == pytest.approx((0.3 * side, 0.15 * side))
    good = network_matches({(0, 1): true_matches(0, 1)})
    window = guidance(replace(room().predictions, matches=good)).window(0, 1)
    assert window == pytest.approx((0.02 * side, 0.004 * side))
    fair = network_matches({(0, 1): true_matches(0, 1, shift=20)})
    known = guidance(replace(room().predictions, matches=fair))
    assert known.window(0, 1).radius == pytest.approx(100, rel=1e-3)
    assert known.window(0, 1).band < 50
    # pairs without matches are taken for no better
    assert known.window(0, 2).radius >= 100


def test_useless_predictions_have_infinite_windows(rng: np.random.Generator) -> None:
    first, second = true_matches(0, 1)
    anywhere = rng.uniform(0, 1, second.shape) * [160, 120]
    wrong = network_matches({(0, 1): (first, anywhere), (0, 2): true_matches(0, 2)})
    found = guidance(replace(room().predictions, matches=wrong))
    assert found.window(0, 1) == found.window(1, 0) == (np.inf, np.inf)
    assert np.isfinite(found.window(0, 2)).all()
    # a camera that is predicted to look away while its matches say that it does not
    behind = replace(
        turned(room().predictions, 1), matches=network_matches({(0, 1): (first, second)})
    )
    assert guidance(behind).window(0, 1) == (np.inf, np.inf)


def test_few_matches_and_matches_that_are_nowhere_say_nothing() -> None:
    first, second = true_matches(0, 1)
    few = network_matches({(0, 1): (first[:10], second[:10])})
    nowhere = network_matches({(0, 1): (first * np.nan, second)})
    for matches in (few, nowhere, network_matches({})):
        window = guidance(replace(room().predictions, matches=matches)).window(0, 1)
        assert window.radius == pytest.approx(0.3 * max(SIZE))


def test_overlap_is_what_the_other_frame_sees() -> None:
    overlap = guidance().overlap()
    np.testing.assert_allclose(np.diag(overlap), 1)
    assert 0.3 < overlap[0, 1] < 1
    assert overlap[0, 2] < overlap[0, 1]
    away = guidance(turned(room().predictions, 1)).overlap()
    np.testing.assert_array_equal(away[0, 1], 0)
    np.testing.assert_array_equal(away[1, 0], 0)
    assert away[0, 2] == overlap[0, 2]


def one_place(depths: list[float]) -> Guidance:
    """Frames of one camera that are predicted to see walls at other distances."""
    count = len(depths)
    predictions = Predictions(
        cam_from_world=np.tile(np.eye(3, 4), (count, 1, 1)),
        intrinsics=np.tile(room().predictions.intrinsics[0], (count, 1, 1)),
        depth=np.repeat(depths, 120 * 160).reshape(count, 120, 160).astype(np.float32),
        depth_confidence=np.ones((count, 120, 160), np.float32),
        camera_sources=("test",) * count,
    )
    return Guidance(plain_scene(count, SIZE), predictions)


def test_surfaces_behind_what_is_seen_do_not_count() -> None:
    overlap = one_place([10.0, 5.0, 5.5]).overlap()
    np.testing.assert_array_equal(overlap[0], [1, 0, 0])
    np.testing.assert_array_equal(overlap[1], [1, 1, 1])
    np.testing.assert_array_equal(overlap[2], [1, 1, 1])  # behind by less than errors of depth


def test_cameras_in_one_place_have_no_epipolar_lines() -> None:
    same = one_place([4.0, 4.0])
    np.testing.assert_array_equal(same.fundamental(0, 1), np.zeros((3, 3)))
    np.testing.assert_array_equal(
        epipolar_distance(same.fundamental(0, 1), centres(), centres()[::-1]), 0
    )
    np.testing.assert_array_equal(same.overlap(), 1)
    # rounding errors are no baseline
    poses = room().predictions.cam_from_world[[0, 0, 2]]
    poses[1, :, 3] += 1e-9
    nearly = guidance(replace(room().predictions, cam_from_world=poses))
    assert not nearly.fundamental(0, 1).any()
    assert nearly.fundamental(0, 2).any()


def test_cameras_without_focal_length_say_nothing() -> None:
    flat = replace(room().predictions, intrinsics=np.zeros((3, 3, 3)))
    found = guidance(flat)
    assert np.isnan(found.lift(0, centres())).all()
    assert not found.fundamental(0, 1).any()
    assert not found.overlap().any()


@pytest.mark.parametrize("size", [Size(1, 1), Size(4000, 1), Size(1, 700)])
def test_images_of_any_shape(size: Size) -> None:
    plain = one_place([3.0, 3.0])
    pixel_map = PixelMap(
        original=size,
        network=Size(160, 120),
        scale=(160 / size.width, 120 / size.height),
        offset=(0.0, 0.0),
    )
    frames = tuple(replace(frame, size=size) for frame in plain._scene.frames)
    found = Guidance(Scene(frames=frames, pixel_maps=(pixel_map,) * 2), plain._predictions)
    np.testing.assert_array_equal(found.overlap(), 1)


def test_no_frames() -> None:
    nothing = Predictions(
        cam_from_world=np.empty((0, 3, 4)),
        intrinsics=np.empty((0, 3, 3)),
        depth=np.empty((0, 2, 2), np.float32),
        depth_confidence=np.empty((0, 2, 2), np.float32),
        camera_sources=(),
    )
    assert Guidance(Scene(frames=(), pixel_maps=()), nothing).overlap().shape == (0, 0)
