"""The whole track stage on rendered photographs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import photos
import pytest
from numpy.typing import NDArray
from synthetic import plain_scene

from vggt_sfm._log import SilentProgress
from vggt_sfm.geometry.cameras import project
from vggt_sfm.scene import Frame, Matches, Predictions, Size, Tracks
from vggt_sfm.tracking.build import build_tracks
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.masks import no_mask

UInt8 = NDArray[np.uint8]
SIZE = Size(320, 240)
VIEWS = photos.views(3)
IMAGES = [photos.render(view) for view in VIEWS]
K = np.array([[VIEWS[0].focal, 0, 160], [0, VIEWS[0].focal, 120], [0, 0, 1]])


def predictions(depth: float = 5.0, matches: Matches | None = None) -> Predictions:
    return Predictions(
        cam_from_world=np.stack([view.cam_from_world for view in VIEWS]),
        intrinsics=np.tile(np.diag([0.5, 0.5, 1]) @ K, (3, 1, 1)),
        depth=np.full((3, 120, 160), depth, np.float32),
        depth_confidence=np.ones((3, 120, 160), np.float32),
        camera_sources=("test",) * 3,
        matches=matches,
    )


def read_image(frame: Frame) -> UInt8:
    return IMAGES[int(frame.name[:3])]


def build(
    config: TrackConfig | None = None,
    predicted: Predictions | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> Tracks:
    return build_tracks(
        config or TrackConfig(feature_zoom=2.0),
        plain_scene(3, SIZE),
        predicted or predictions(),
        SilentProgress(),
        read_image=read_image,
        read_mask=lambda frame: mask,
    )


def test_tracks_are_sorted_inside_their_images_and_seen_twice() -> None:
    tracks = build()
    assert len(tracks.xyz) > 100
    order = np.lexsort((tracks.frame_index, tracks.track_index))
    np.testing.assert_array_equal(order, np.arange(len(order)))
    seen = np.stack([tracks.track_index, tracks.frame_index])
    assert len(np.unique(seen, axis=1).T) == len(tracks.xy)  # no frame twice
    assert np.bincount(tracks.track_index).min() >= 2
    assert ((tracks.xy >= 0) & (tracks.xy <= np.array(SIZE))).all()
    assert tracks.source_names == ("guided",)


def test_seeds_are_near_the_back_wall() -> None:
    # Depth 5 is right to within a fifth there, so seeds project near their observations.
    tracks = build()
    poses = np.stack([view.cam_from_world for view in VIEWS])[tracks.frame_index]
    xy, _ = project(tracks.xyz[tracks.track_index], poses, K)
    assert np.median(np.linalg.norm(xy - tracks.xy, axis=1)) < 20


def test_colours_come_from_the_images() -> None:
    tracks = build()
    total = np.zeros((len(tracks.xyz), 3))
    for n, s, (x, y) in zip(tracks.track_index, tracks.frame_index, tracks.xy, strict=True):
        total[n] += IMAGES[s][int(y), int(x)]
    mean = total / np.bincount(tracks.track_index)[:, None]
    assert np.abs(tracks.color - mean).max() <= 0.5


def test_both_sources_together() -> None:
    grid = np.stack(np.meshgrid(np.arange(20.0, 140, 6), np.arange(20.0, 100, 6)), -1)
    first = grid.reshape(-1, 2)
    # Where the rays of a grid in the first image meet the back wall, z = 6, seen by the second.
    rotation, shift = VIEWS[0].cam_from_world[:, :3], VIEWS[0].cam_from_world[:, 3]
    rays = np.column_stack([first * 2, np.ones(len(first))]) @ np.linalg.inv(K).T @ rotation
    center = -rotation.T @ shift
    wall = center + rays * ((6.0 - center[2]) / rays[:, 2:])
    second = project(wall, VIEWS[1].cam_from_world, K)[0] / 2
    matches = Matches(
        pairs=np.array([[0, 1]]),
        offsets=np.array([0, len(first)]),
        xy=np.concatenate([first, second], axis=1).astype(np.float32),
        confidence=np.ones(len(first), np.float32),
    )
    both = build(predicted=predictions(matches=matches))
    assert both.source_names == ("guided", "network")
    alone = build(TrackConfig(guided=False), predictions(matches=matches))
    assert alone.source_names == ("network",)
    # the network fills what SIFT left empty, and only that
    assert 0 < np.sum(both.source == 1) < len(alone.xyz)
    # a few of its matches say that two SIFT tracks are one point
    assert 0.95 * len(build().xyz) <= np.sum(both.source == 0) <= len(build().xyz)


def test_positions_of_features_stay() -> None:
    plain, refined = build(TrackConfig(feature_zoom=2.0, refine=False)), build()
    np.testing.assert_array_equal(plain.xy, refined.xy)


def test_tracks_without_depth_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    tracks = build(predicted=predictions(depth=0.0))
    assert tracks.xyz.shape == (0, 3)
    assert tracks.xy.shape == (0, 2)
    assert "without depth dropped" in caplog.text


def test_no_source_gives_no_tracks() -> None:
    tracks = build(TrackConfig(guided=False))
    assert len(tracks.xyz) == len(tracks.xy) == 0
    assert tracks.source_names == ()


def test_equal_inputs_give_equal_tracks() -> None:
    first, second = build(), build()
    np.testing.assert_array_equal(first.xyz, second.xyz)
    np.testing.assert_array_equal(first.xy, second.xy)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_features": 0},
        {"min_inliers": 7},
        {"max_ratio": 1.5},
        {"max_error_px": 0.0},
        {"feature_zoom": 0.0},
        {"feature_zoom": 2.1},
        {"peak_threshold": 0.0},
        {"neighbors": 0},
        {"enough_points": -1},
        {"threads": -1},
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="TrackConfig"):
        TrackConfig(**wrong)  # type: ignore[arg-type]


def test_no_track_of_any_source_lies_on_a_masked_pixel() -> None:
    mask = np.ones((240, 320), bool)
    mask[:, :107] = False
    whole, masked = build(), build(mask=mask)
    assert (whole.xy[:, 0] < 107).any()
    assert masked.xy[:, 0].min() >= 107
    assert 100 < len(masked.xyz) < len(whole.xyz)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_frames_give_no_tracks(count: int) -> None:
    whole = predictions()
    few = replace(
        whole,
        cam_from_world=whole.cam_from_world[:count],
        intrinsics=whole.intrinsics[:count],
        depth=whole.depth[:count],
        depth_confidence=whole.depth_confidence[:count],
        camera_sources=("test",) * count,
    )
    tracks = build_tracks(
        TrackConfig(),
        plain_scene(count, SIZE),
        few,
        SilentProgress(),
        read_image=read_image,
        read_mask=no_mask,
    )
    assert tracks.xyz.shape == (0, 3)


def test_predictions_that_know_nothing_still_give_tracks() -> None:
    """One camera for all, and depth that says that all is at one distance."""
    whole = predictions()
    same = replace(whole, cam_from_world=whole.cam_from_world[[1, 1, 1]])
    tracks = build(predicted=same)
    assert len(tracks.xyz) > 100
    flat = replace(whole, intrinsics=np.zeros((3, 3, 3)))
    assert build(predicted=flat).xyz.shape == (0, 3)  # no pixel is anywhere
