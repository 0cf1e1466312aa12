"""What the values that flow between stages refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from synthetic import synthetic_scene

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
