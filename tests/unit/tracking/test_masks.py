"""Which points and matches masks forbid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from synthetic import plain_scene

from vggt_sfm.scene import Frame, Matches, Size
from vggt_sfm.tracking.masks import (
    no_mask,
    on_usable_pixels,
    usable_matches,
    without_masked,
)
from vggt_sfm.tracking.matches import VerifiedMatches

Bool = NDArray[np.bool_]
LEFT_HALF_HIDDEN = np.tile([False, False, True, True], (3, 1))


def test_a_pixel_reaches_from_its_corner_to_the_next() -> None:
    xy = np.array([[1.999, 0.0], [2.0, 0.0], [2.5, 2.5], [4.0, 3.0], [-1.0, 9.0]])
    expected = [False, True, True, True, False]
    np.testing.assert_array_equal(on_usable_pixels(xy, LEFT_HALF_HIDDEN), expected)
    assert on_usable_pixels(xy, None).all()
    assert on_usable_pixels(np.empty((0, 2)), LEFT_HALF_HIDDEN).shape == (0,)
    # rows are y
    np.testing.assert_array_equal(
        on_usable_pixels(np.array([[0.5, 1.5], [1.5, 0.5]]), np.array([[True, False]] * 2)),
        [True, False],
    )


def test_a_match_needs_both_points() -> None:
    xy = np.array([[0.5, 0.5], [3.5, 0.5]])
    verified = VerifiedMatches(
        source="test",
        keypoints=(xy, xy, xy),
        pairs=np.array([[0, 1], [0, 2], [1, 2]]),
        matches=(np.array([[0, 0], [1, 1]]), np.array([[1, 0]]), np.array([[0, 0], [1, 0]])),
    )

    def read_mask(frame: Frame) -> Bool | None:
        return None if frame.name == "001.png" else LEFT_HALF_HIDDEN

    left = without_masked(verified, plain_scene(3, Size(4, 3)).frames, read_mask)
    np.testing.assert_array_equal(left.pairs, [[0, 1]])
    np.testing.assert_array_equal(left.matches[0], [[1, 1]])
    assert len(left.keypoints[0]) == 2
    assert without_masked(verified, plain_scene(3, Size(4, 3)).frames, lambda _: None) is verified


def test_the_networks_matches_on_masked_pixels_are_dropped() -> None:
    def of_pair(*rows: tuple[float, float, float, float]) -> NDArray[np.float64]:
        return np.array(rows, np.float64).reshape(-1, 4)

    # network pixels are two photo pixels wide
    good, left, right = (1.5, 0.5, 1.5, 0.5), (0.5, 0.5, 1.5, 0.5), (1.5, 0.5, 0.5, 0.5)
    nowhere = (np.nan, 0.5, 1.5, 0.5)
    blocks = [of_pair(left, good, right), of_pair(left), of_pair(good, nowhere)]
    matches = Matches(
        pairs=np.array([[0, 1], [0, 2], [1, 2]]),
        offsets=np.array([0, 3, 4, 6]),
        xy=np.concatenate(blocks).astype(np.float32),
        confidence=np.arange(6, dtype=np.float32),
    )
    scene = plain_scene(3, Size(4, 3))
    kept = usable_matches(matches, scene, lambda _: LEFT_HALF_HIDDEN)
    np.testing.assert_array_equal(kept.pairs, matches.pairs)
    np.testing.assert_array_equal(kept.offsets, [0, 1, 1, 2])
    np.testing.assert_array_equal(kept.confidence, [1, 4])
    # one mask only: what lies on it in the first frame of a pair
    kept = usable_matches(
        matches, scene, lambda frame: LEFT_HALF_HIDDEN if frame.name == "000.png" else None
    )
    np.testing.assert_array_equal(kept.confidence, [1, 2, 4, 5])
    assert usable_matches(matches, scene, no_mask) is matches
