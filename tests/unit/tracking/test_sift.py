"""SIFT matches of rendered photographs with known geometry, and of images without any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import photos
import pytest
from numpy.typing import NDArray
from synthetic import plain_scene

from vggt_sfm._log import SilentProgress
from vggt_sfm.geometry.rigid import compose, invert
from vggt_sfm.scene import Frame, Scene, Size
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.matches import VerifiedMatches
from vggt_sfm.tracking.sources.sift import SiftSource

UInt8 = NDArray[np.uint8]
Int64 = NDArray[np.int64]
SIZE = Size(320, 240)
VIEWS = photos.views(3)
IMAGES = [photos.render(view) for view in VIEWS]


def all_pairs(count: int) -> Int64:
    return np.stack(np.triu_indices(count, k=1), axis=1).astype(np.int64)


def match(
    images: list[UInt8], pairs: Int64 | None = None, config: TrackConfig | None = None
) -> VerifiedMatches:
    frames = tuple(
        replace(frame, size=Size(image.shape[1], image.shape[0]), path=str(s))
        for s, (frame, image) in enumerate(
            zip(plain_scene(len(images), SIZE).frames, images, strict=True)
        )
    )
    scene = Scene(frames=frames, pixel_maps=plain_scene(len(images), SIZE).pixel_maps)

    def read_image(frame: Frame) -> UInt8:
        return images[int(frame.path)]

    source = SiftSource(config or TrackConfig(feature_zoom=1.0), read_image)
    return source.match(scene, all_pairs(len(images)) if pairs is None else pairs, SilentProgress())


def test_matches_obey_the_true_epipolar_geometry() -> None:
    verified = match(IMAGES)
    np.testing.assert_array_equal(verified.pairs, all_pairs(3))
    for (i, j), rows in zip(verified.pairs, verified.matches, strict=True):
        assert len(rows) > 50
        second_from_first = compose(VIEWS[j].cam_from_world, invert(VIEWS[i].cam_from_world))
        x, y, z = second_from_first[:, 3]
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        focal = VIEWS[0].focal
        K = np.array([[focal, 0, 160], [0, focal, 120], [0, 0, 1]])
        first = np.column_stack([verified.keypoints[i][rows[:, 0]], np.ones(len(rows))])
        second = np.column_stack([verified.keypoints[j][rows[:, 1]], np.ones(len(rows))])
        lines = first @ np.linalg.inv(K).T @ (cross @ second_from_first[:, :3]).T @ np.linalg.inv(K)
        distance = np.abs((lines * second).sum(axis=1)) / np.linalg.norm(lines[:, :2], axis=1)
        assert np.median(distance) < 0.5  # a quarter of a pixel off would show in the median
        assert np.mean(distance < 3) > 0.95


def test_no_position_twice_and_every_match_once() -> None:
    verified = match(IMAGES)
    for xy in verified.keypoints:
        assert len(np.unique(xy, axis=0)) == len(xy)
    for rows in verified.matches:
        assert len(np.unique(rows, axis=0)) == len(rows)


def test_equal_inputs_give_equal_matches() -> None:
    first, second = match(IMAGES), match(IMAGES)
    for a, b in zip(first.matches, second.matches, strict=True):
        np.testing.assert_array_equal(a, b)


def test_only_the_pairs_that_are_asked_for() -> None:
    verified = match(IMAGES, pairs=np.array([[0, 2]]))
    np.testing.assert_array_equal(verified.pairs, [[0, 2]])
    assert not len(match(IMAGES, pairs=np.empty((0, 2), np.int64)).pairs)


def test_a_reduced_image_reports_full_size_positions() -> None:
    full, reduced = (
        match(IMAGES),
        match(IMAGES, config=TrackConfig(feature_zoom=1.0, max_image_size=240)),
    )
    assert reduced.keypoints[0][:, 0].max() > 260
    assert len(reduced.keypoints[0]) < len(full.keypoints[0])
    # The same spots again, to within the localisation of the coarser pixels.
    distance = np.linalg.norm(full.keypoints[0][:, None] - reduced.keypoints[0], axis=2).min(axis=0)
    assert np.median(distance) < 0.5


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((240, 320, 3), np.uint8),
        np.full((240, 320, 3), 255, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8),
    ],
    ids=["black", "white", "one pixel", "noise"],
)
@pytest.mark.parametrize("feature_zoom", [1.0, None])
def test_images_without_matches_do_not_disturb_the_others(
    image: UInt8, feature_zoom: float | None
) -> None:
    config = TrackConfig(feature_zoom=feature_zoom)
    verified = match([IMAGES[0], image, IMAGES[1]], config=config)
    np.testing.assert_array_equal(verified.pairs, [[0, 2]])
    assert not len(match([image, image], config=config).matches)


def test_one_image_has_no_pairs() -> None:
    verified = match(IMAGES[:1])
    assert verified.pairs.shape == (0, 2)
    assert len(verified.keypoints) == 1


def test_the_same_image_twice_does_not_fail() -> None:
    verified = match([IMAGES[0], IMAGES[0]])
    for rows in verified.matches:
        np.testing.assert_allclose(
            verified.keypoints[0][rows[:, 0]], verified.keypoints[1][rows[:, 1]], atol=1e-3
        )
