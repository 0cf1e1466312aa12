"""Query frames are spread over a scene, query points over an image."""

from __future__ import annotations

import numpy as np
import pytest

from vggt_sfm.tracking.queries import choose_points, choose_query_frames, frame_similarity

NOTHING = np.empty((0, 2))
BOX = (0, 0, 120, 80)


def walk(count: int, scale: float = 1.0) -> np.ndarray:
    """Descriptors of frames along a quarter turn, with a large part that all of them share."""
    angle = np.linspace(0, np.pi / 2, count)
    own = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (scale * np.hstack([own, np.full((count, 3), 50.0)])).astype(np.float32)


def test_what_all_frames_share_does_not_count() -> None:
    similarity = frame_similarity(walk(9))
    assert similarity[0, 8] < -0.8
    np.testing.assert_allclose(np.diag(similarity), 1)
    np.testing.assert_allclose(frame_similarity(walk(9, scale=7.0)), similarity, atol=1e-5)


def test_query_frames_are_spread() -> None:
    similarity = frame_similarity(walk(11))
    chosen = choose_query_frames(similarity, 3).tolist()
    assert {0, 10} <= set(chosen)  # both ends, whichever was the first choice
    assert len(set(choose_query_frames(similarity, 5).tolist())) == 5


def test_no_more_query_frames_than_frames() -> None:
    assert sorted(choose_query_frames(frame_similarity(walk(3)), 8)) == [0, 1, 2]
    assert choose_query_frames(frame_similarity(walk(1)), 8).tolist() == [0]


def test_frames_that_say_the_same_are_all_alike() -> None:
    similarity = frame_similarity(np.ones((3, 4), np.float32))
    assert not similarity.any()
    assert sorted(choose_query_frames(similarity, 3)) == [0, 1, 2]


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """An image with two blobs, and their centres in corner-origin pixels."""
    centres = np.array([[30.5, 20.5], [90.5, 60.5]])
    y, x = np.mgrid[:80, :120] + 0.5
    grey = sum(np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18) for cx, cy in centres)
    return np.tile(grey, (3, 1, 1)).astype(np.float32), centres


def test_points_are_at_keypoints_where_there_are_any() -> None:
    image, centres = blobs()
    points = choose_points(image, BOX, 24, NOTHING)
    assert len(points) == 24
    for centre in centres:
        assert np.linalg.norm(points - centre, axis=1).min() < 0.5


def test_a_blank_wall_gets_a_grid() -> None:
    points = choose_points(np.full((3, 80, 120), 0.5, np.float32), BOX, 6, NOTHING)
    assert points.tolist() == [[x, y] for y in (20.0, 60.0) for x in (20.0, 60.0, 100.0)]


def test_padding_and_known_points_are_left_out() -> None:
    image, _ = blobs()
    points = choose_points(image, (60, 0, 120, 80), 12, np.array([[65.0, 5.0], [500.0, 5.0]]))
    assert len(points) == 11
    assert points[:, 0].min() >= 60
    assert not ((points < [80, 20]).all(axis=1)).any()


@pytest.mark.parametrize("count", [1, 7, 500])
def test_about_as_many_as_asked_for(count: int) -> None:
    image = np.random.default_rng(0).random((3, 80, 120), dtype=np.float32)
    points = choose_points(image, BOX, count, NOTHING)
    assert 0.7 * count <= len(points) <= count
    assert (points >= 0).all()
    assert (points <= (120, 80)).all()
