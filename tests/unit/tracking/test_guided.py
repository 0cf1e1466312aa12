"""SIFT matches in predicted windows, of rendered photographs with known geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from room import SIZE, Room, network_matches, room
from scipy.spatial.transform import Rotation

from vggt_sfm._log import SilentProgress
from vggt_sfm.scene import Frame, Predictions, Scene, Size
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.guidance import Guidance, epipolar_distance
from vggt_sfm.tracking.matches import VerifiedMatches
from vggt_sfm.tracking.pairs import all_pairs, choose_pairs, covisibility
from vggt_sfm.tracking.sources.guided import GuidedSource

UInt8 = NDArray[np.uint8]
Int64 = NDArray[np.int64]


def match(
    photographs: Room,
    predictions: Predictions | None = None,
    pairs: Int64 | None = None,
    config: TrackConfig | None = None,
) -> VerifiedMatches:
    predicted = predictions or photographs.predictions
    guidance = Guidance(photographs.scene, predicted)
    score = covisibility(guidance, predicted)
    chosen = choose_pairs(score, 8) if pairs is None else pairs
    source = GuidedSource(
        config or TrackConfig(feature_zoom=2.0), guidance, score, photographs.read_image
    )
    return source.match(photographs.scene, chosen, SilentProgress())


def check_geometry(photographs: Room, found: VerifiedMatches) -> None:
    true = Guidance(photographs.scene, photographs.predictions)
    for (i, j), rows in zip(found.pairs.tolist(), found.matches, strict=True):
        first, second = found.keypoints[i][rows[:, 0]], found.keypoints[j][rows[:, 1]]
        distance = epipolar_distance(true.fundamental(i, j), first, second)
        assert np.median(distance) < 0.5
        assert np.mean(distance < 3) > 0.95


def misled(predictions: Predictions) -> Predictions:
    """Return the cameras of another scene: beside where they were, and looking elsewhere."""
    turns = Rotation.from_euler("xyz", [[15, 25, 40], [-20, 5, -60], [10, -25, 90]], degrees=True)
    poses = predictions.cam_from_world.copy()
    poses = np.einsum("sij,sjk->sik", turns.as_matrix(), poses)
    return replace(predictions, cam_from_world=poses)


def test_matches_obey_the_true_epipolar_geometry() -> None:
    found = match(room())
    np.testing.assert_array_equal(found.pairs, all_pairs(3))
    assert min(len(rows) for rows in found.matches) > 80
    check_geometry(room(), found)


def test_no_position_twice_and_every_match_once() -> None:
    found = match(room())
    for xy in found.keypoints:
        assert len(np.unique(xy, axis=0)) == len(xy)
    for rows in found.matches:
        np.testing.assert_array_equal(rows, np.unique(rows, axis=0))


def test_equal_inputs_give_equal_matches() -> None:
    first, second = match(room()), match(room())
    for a, b in zip(first.matches, second.matches, strict=True):
        np.testing.assert_array_equal(a, b)


def test_wrong_predictions_still_give_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = misled(room().predictions)
    found = match(room(), wrong, all_pairs(3))
    assert len(found.pairs) >= 2
    check_geometry(room(), found)
    # they are those of images that were matched beyond their windows
    monkeypatch.setattr("vggt_sfm.tracking.sources.guided._WEAK", 0)
    assert sum(len(rows) for rows in match(room(), wrong, all_pairs(3)).matches) < 60


def test_the_networks_matches_tell_that_its_cameras_are_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true = Guidance(room().scene, room().predictions)
    x, y = np.meshgrid(np.arange(20, 300, 12.0), np.arange(20, 220, 12.0))
    first = np.stack([x, y], axis=-1).reshape(-1, 2)
    matched = {}
    for i, j in all_pairs(3).tolist():
        second = true.locate(true.lift(i, first), j)
        inside = ((second > 0) & (second < SIZE)).all(axis=1)
        matched[i, j] = first[inside] / 2, second[inside] / 2
    wrong = replace(misled(room().predictions), matches=network_matches(matched))
    monkeypatch.setattr("vggt_sfm.tracking.sources.guided._WEAK", 0)
    found = match(room(), wrong)
    np.testing.assert_array_equal(found.pairs, all_pairs(3))
    assert min(len(rows) for rows in found.matches) > 80
    check_geometry(room(), found)


def test_images_that_no_pair_has_are_matched_all_the_same() -> None:
    # cameras that look away from each other overlap nowhere
    poses = room().predictions.cam_from_world.copy()
    for s, angle in enumerate((0, 120, 240)):
        turn = Rotation.from_euler("y", angle, degrees=True).as_matrix()
        poses[s] = np.column_stack([turn, [0.0, 0.0, 0.0]])
    away = replace(room().predictions, cam_from_world=poses)
    found = match(room(), away)
    np.testing.assert_array_equal(found.pairs, all_pairs(3))
    check_geometry(room(), found)


def test_without_depth_plain_matching_is_left() -> None:
    blind = replace(room().predictions, depth=np.zeros((3, 120, 160), np.float32))
    check_geometry(room(), match(room(), blind))
    assert len(match(room(), blind).pairs) == 3


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((240, 320, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8),
    ],
    ids=["black", "one pixel", "noise"],
)
@pytest.mark.parametrize("feature_zoom", [1.0, None])
def test_images_without_matches_do_not_disturb_the_others(
    image: UInt8, feature_zoom: float | None
) -> None:
    plain = room()
    images = [plain.images[0], image, plain.images[1]]
    frames = tuple(
        replace(frame, size=Size(i.shape[1], i.shape[0]))
        for frame, i in zip(plain.scene.frames, images, strict=True)
    )
    maps = tuple(
        replace(m, original=f.size, scale=(160 / f.size.width, 120 / f.size.height))
        for m, f in zip(plain.scene.pixel_maps, frames, strict=True)
    )
    order = [0, 2, 1]
    predictions = replace(
        plain.predictions,
        cam_from_world=plain.predictions.cam_from_world[order],
        depth=plain.predictions.depth[order],
    )
    changed = Room(plain.views, images, Scene(frames=frames, pixel_maps=maps), predictions)
    found = match(changed, config=TrackConfig(feature_zoom=feature_zoom))
    np.testing.assert_array_equal(found.pairs, [[0, 2]])
    blank = Room(plain.views, [image] * 3, changed.scene, predictions)
    if image.shape == (240, 320, 3):
        assert not len(match(blank).pairs)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_are_not_even_read(count: int) -> None:
    plain = room()
    predictions = replace(
        plain.predictions,
        cam_from_world=plain.predictions.cam_from_world[:count],
        intrinsics=plain.predictions.intrinsics[:count],
        depth=plain.predictions.depth[:count],
        depth_confidence=plain.predictions.depth_confidence[:count],
        camera_sources=("test",) * count,
    )
    scene = Scene(frames=plain.scene.frames[:count], pixel_maps=plain.scene.pixel_maps[:count])
    guidance = Guidance(scene, predictions)

    def read_image(frame: Frame) -> UInt8:
        raise AssertionError(frame.name)

    source = GuidedSource(TrackConfig(), guidance, guidance.overlap(), read_image)
    found = source.match(scene, all_pairs(count), SilentProgress())
    assert found.pairs.shape == (0, 2)
    assert len(found.keypoints) == count
