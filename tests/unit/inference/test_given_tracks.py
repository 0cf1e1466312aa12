"""Tracks as matches between pairs of frames."""

from __future__ import annotations

import numpy as np

from vggt_sfm.inference.given_tracks import track_matches
from vggt_sfm.inference.point_tracks import FollowedPoints
from vggt_sfm.scene import Matches


def _tracks(count: int, seen: dict[int, list[int]]) -> FollowedPoints:
    """Points whose place is (frame, point), seen in some frames each."""
    xy = np.full((count, len(seen), 2), np.nan)
    for point, frames in seen.items():
        xy[frames, point] = np.stack([frames, np.full(len(frames), point)], axis=1)
    ones = np.ones(xy.shape[:2], np.float32)
    return FollowedPoints(xy, ones, ones.copy())


def _rows(matches: Matches) -> set[tuple[float, ...]]:
    for p, (i, j) in enumerate(matches.pairs.tolist()):
        xy, _ = matches.of_pair(p)
        assert (xy[:, (0, 2)] == (i, j)).all()
        assert (xy[:, 1] == xy[:, 3]).all()
        assert len(xy)
    return {(int(a), int(b), int(n)) for a, n, b, _ in matches.xy.tolist()}


def test_frames_are_paired_with_the_next_the_second_and_the_fourth_that_sees_the_point() -> None:
    seen = {0: [0, 2, 3, 5, 6], 1: [1], 2: [4, 6]}
    expected = {(0, 2), (2, 3), (3, 5), (5, 6), (0, 3), (2, 5), (3, 6), (0, 6)}
    matches = track_matches(_tracks(7, seen))
    assert _rows(matches) == {(i, j, 0) for i, j in expected} | {(4, 6, 2)}
    assert len({tuple(pair) for pair in matches.pairs.tolist()}) == len(matches.pairs)
    assert (matches.pairs[:, 0] < matches.pairs[:, 1]).all()


def test_what_is_hardly_visible_is_not_seen_and_confidence_is_that_of_the_weaker_end() -> None:
    tracks = _tracks(3, {0: [0, 1, 2]})
    tracks.visibility[1] = 0.01
    tracks.visibility[2] = 0.5
    matches = track_matches(tracks)
    assert _rows(matches) == {(0, 2, 0)}
    assert matches.confidence.tolist() == [0.5]


def test_nothing_seen_twice_gives_no_pairs() -> None:
    for tracks in (_tracks(3, {}), _tracks(3, {0: [1], 1: []}), _tracks(1, {0: [0]})):
        matches = track_matches(tracks)
        assert matches.pairs.shape == (0, 2)
        assert matches.xy.shape == (0, 4)


def test_rows_grow_with_the_frames_and_not_with_their_square() -> None:
    count = 64
    matches = track_matches(_tracks(count, {0: list(range(count))}))
    assert len(matches.xy) == sum(count - hop for hop in (1, 2, 4, 8, 16, 32))
