"""What the values that flow between stages refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from synthetic import synthetic_scene

from vggt_sfm.scene import Matches

DATA = synthetic_scene(num_frames=4, num_points=20)


def _changed(array: Any, row: Any, value: Any) -> Any:
    changed = array.copy()
    changed[row] = value
    return changed


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "12 of 48 values are not finite"),
        (np.diag([1.0, 1, -1])[:, [0, 1, 2, 0]], "1 of 4 rotations"),
        (2 * np.eye(3, 4), "1 of 4 rotations"),
        (0.0, "1 of 4 rotations"),
        (1e200, "1 of 4 rotations"),
    ],
)
def test_poses_that_are_no_rigid_motions_are_refused(value: Any, message: str) -> None:
    poses = _changed(DATA.cam_from_world, 2, value)
    with pytest.raises(ValueError, match=f"Predictions.cam_from_world: {message}"):
        replace(DATA.predictions, cam_from_world=poses)


def test_rotations_in_single_precision_are_taken() -> None:
    poses = DATA.cam_from_world.astype(np.float32).astype(np.float64)
    replace(DATA.predictions, cam_from_world=poses)


@pytest.mark.parametrize(
    ("field", "row", "value", "message"),
    [
        ("track_index", -1, 20, "indices"),
        ("track_index", 0, -1, "indices"),
        ("frame_index", 0, -1, "indices"),
        ("track_index", 0, 1, "sorted"),
        ("frame_index", slice(2), [1, 0], "sorted"),
        ("frame_index", slice(2), 0, "each frame once"),
    ],
)
def test_tracks_that_break_their_order_are_refused(
    field: str, row: Any, value: Any, message: str
) -> None:
    tracks = DATA.tracks
    assert tracks.track_index[:2].tolist() == [0, 0]
    assert tracks.frame_index[:2].tolist() == [0, 1]
    with pytest.raises(ValueError, match=message):
        replace(tracks, **{field: _changed(getattr(tracks, field), row, value)})


def test_the_first_matches_of_some_pairs() -> None:
    matches = Matches(
        pairs=np.array([(0, 1), (0, 2), (1, 2), (2, 3)]),
        offsets=np.array([0, 3, 3, 8, 9]),
        xy=np.arange(36, dtype=np.float32).reshape(9, 4),
        confidence=np.linspace(1, 0, 9, dtype=np.float32),
    )
    some = matches.select(np.array([3, 1, 2]), most=2)
    assert some.pairs.tolist() == [[2, 3], [0, 2], [1, 2]]
    assert some.offsets.tolist() == [0, 1, 1, 3]
    np.testing.assert_array_equal(some.xy, matches.xy[[8, 3, 4]])
    np.testing.assert_array_equal(some.confidence, matches.confidence[[8, 3, 4]])
    assert len(matches.select(np.empty(0, np.int64), most=2).pairs) == 0
