"""Points where an image has few, and no crowds elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from synthetic import plain_scene

from vggt_sfm.scene import Size
from vggt_sfm.tracking.coverage import where_sparse, without_crowds
from vggt_sfm.tracking.linking import Observations
from vggt_sfm.tracking.matches import VerifiedMatches

FRAMES = plain_scene(3, Size(240, 120)).frames  # cells of 20 px
Float64 = NDArray[np.float64]


def observations(rows: list[tuple[int, int, float, float, int]]) -> Observations:
    """Rows of track, frame, x, y and source."""
    table = np.array(rows, np.float64).reshape(-1, 5)
    return Observations(
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.int64),
        table[:, 2:4],
        table[:, 4].astype(np.uint8),
    )


def matches(first: list[tuple[float, float]], second: list[tuple[float, float]]) -> VerifiedMatches:
    rows = np.repeat(np.arange(len(first))[:, None], 2, axis=1)
    return VerifiedMatches(
        source="coarse",
        keypoints=(np.array(first), np.array(second), np.empty((0, 2))),
        pairs=np.array([[0, 1]]),
        matches=(rows,),
    )


def test_matches_are_kept_where_either_end_is_sparse() -> None:
    crowded = [(t, s, 5.0 + t, 5.0, 0) for t in range(2) for s in range(2)]
    extra = matches([(10, 10), (10, 10.5), (25, 5), (230, 110)], [(9, 9), (50, 50), (8, 8), (1, 1)])
    kept = where_sparse(extra, observations(crowded), FRAMES)
    np.testing.assert_array_equal(kept.matches[0], [[1, 1], [2, 2], [3, 3]])
    assert kept.source == "coarse"
    assert len(kept.keypoints[0]) == 4  # rows stay what they are


def test_one_point_in_a_cell_is_not_enough() -> None:
    extra = matches([(10, 10)], [(9, 9)])
    one = observations([(0, s, 5.0, 5.0, 0) for s in range(2)])
    assert len(where_sparse(extra, one, FRAMES).matches) == 1
    assert len(where_sparse(extra, observations([]), FRAMES).matches) == 1


def test_no_match_left_no_pair_left_and_borders_are_cells() -> None:
    full = observations([(t, s, 240.0, 120.0, 0) for t in range(2) for s in range(2)])
    kept = where_sparse(matches([(240, 120)], [(240.0, 120.0)]), full, FRAMES)
    assert kept.pairs.shape == (0, 2)


def test_the_longest_tracks_fill_a_cell() -> None:
    rows = []
    for t in range(5):
        for s in range(3 if t in (1, 3) else 2):
            rows.append((t, s, 5.0 + t, 5.0, 1))
    keep = without_crowds(observations(rows), 1, FRAMES)
    np.testing.assert_array_equal(keep, [False, True, False, True, False])


def test_a_track_stays_where_another_image_needs_it_and_other_sources_always_stay() -> None:
    rows = []
    for t in range(4):  # exact ones, a crowd of their own
        rows += [(t, 0, 5.0 + t, 5.0, 0), (t, 1, 5.0 + t, 5.0, 0)]
    rows += [(4, 0, 6.0, 6.0, 1), (4, 1, 6.0, 6.0, 1)]  # superfluous
    rows += [(5, 0, 6.0, 7.0, 1), (5, 1, 200.0, 100.0, 1)]  # needed in frame 1
    rows += [(6, 0, 6.0, 8.0, 1), (6, 1, 7.0, 8.0, 0)]  # partly exact
    keep = without_crowds(observations(rows), 1, FRAMES)
    np.testing.assert_array_equal(keep, [True] * 4 + [False, True, True])


def test_no_tracks() -> None:
    assert without_crowds(observations([]), 1, FRAMES).shape == (0,)
