"""Which pairs are matched: what overlaps, in numbers that grow with the frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from room import network_matches, room
from scipy.sparse.csgraph import connected_components

from vggt_sfm.tracking.guidance import Guidance
from vggt_sfm.tracking.pairs import all_pairs, choose_pairs, covisibility

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def walk(count: int) -> Float64:
    """Scores of a walk: frames see less in common the farther apart they are."""
    frame = np.arange(count)
    score = np.exp(-np.abs(frame[:, None] - frame) / 10.0)
    np.fill_diagonal(score, 0)
    return score


def parts(pairs: Int64, count: int) -> int:
    graph = np.zeros((count, count))
    graph[pairs[:, 0], pairs[:, 1]] = 1
    return int(connected_components(graph, directed=False)[0])


def check(pairs: Int64) -> None:
    assert (pairs[:, 0] < pairs[:, 1]).all()
    np.testing.assert_array_equal(pairs, np.unique(pairs, axis=0))


def test_the_number_of_pairs_grows_with_the_frames() -> None:
    counts = [len(choose_pairs(walk(count), 6)) for count in (40, 80, 160)]
    assert counts[0] <= 6 * 40
    assert np.diff(counts)[1] == pytest.approx(2 * np.diff(counts)[0], rel=0.05)
    for pairs in (choose_pairs(walk(40), 6), choose_pairs(walk(40), 1)):
        check(pairs)
        assert parts(pairs, 40) == 1


def test_the_likeliest_partners_are_chosen() -> None:
    pairs = choose_pairs(walk(40), 4)
    assert {(i, i + 1) for i in range(39)} <= {(int(i), int(j)) for i, j in pairs}
    assert np.diff(pairs, axis=1).max() <= 4


def test_what_overlaps_at_all_is_connected() -> None:
    score = np.zeros((30, 30))
    score[:15, :15] = score[15:, 15:] = 0.8
    score[3, 20] = score[20, 3] = 0.01  # below what is worth matching, but the only bridge
    np.fill_diagonal(score, 0)
    pairs = choose_pairs(score, 3)
    check(pairs)
    assert [3, 20] in pairs.tolist()
    assert parts(pairs, 30) == 1
    score[3, 20] = score[20, 3] = 0
    assert parts(choose_pairs(score, 3), 30) == 2


def test_of_few_frames_all_that_overlap_are_taken() -> None:
    score = np.full((12, 12), 0.3)
    score[0, 1:] = score[1:, 0] = 0.05
    score[0, 7] = score[7, 0] = 0.06
    np.fill_diagonal(score, 0)
    pairs = choose_pairs(score, 1)
    check(pairs)
    assert len(pairs) == 11 * 10 // 2 + 1
    assert [0, 7] in pairs.tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_frames_and_nothing_in_common(count: int) -> None:
    assert choose_pairs(np.zeros((count, count)), 8).shape == (0, 2)
    assert all_pairs(count).shape == (count * (count - 1) // 2, 2)
    check(all_pairs(count))


def test_views_and_matches_both_say_what_is_in_common() -> None:
    predictions = room(5).predictions
    score = covisibility(Guidance(room(5).scene, predictions), predictions)
    np.testing.assert_array_equal(score, score.T)
    np.testing.assert_array_equal(np.diag(score), 0)
    assert score[0, 1] > score[0, 4] > 0.1
    assert score.max() <= 1
    xy = np.tile([[80.0, 60.0]], (240, 1))
    matched = replace(predictions, matches=network_matches({(0, 4): (xy, xy)}))
    more = covisibility(Guidance(room(5).scene, matched), matched)
    assert more[0, 4] == more[4, 0] == pytest.approx(max(0.8, score[0, 4]))
    others = np.ones((5, 5), bool)
    others[0, 4] = others[4, 0] = False
    np.testing.assert_array_equal(more[others], score[others])
