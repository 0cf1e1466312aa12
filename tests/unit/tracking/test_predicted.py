"""The network's own matches: verified, merged and in original pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from synthetic import SyntheticScene, synthetic_scene

from vggt_sfm._log import SilentProgress
from vggt_sfm.scene import Matches
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.linking import link
from vggt_sfm.tracking.matches import VerifiedMatches
from vggt_sfm.tracking.sources.predicted import PredictedSource

Int64 = NDArray[np.int64]
PAIRS = np.array([[0, 1], [0, 2], [1, 2]])
FLOAT32_PX = 1e-4  # half a unit in the last place of a float32 at 400 px, doubled by the map


def network_matches(
    data: SyntheticScene, noise_px: float, wrong: int = 0, seed: int = 0
) -> Matches:
    """All true matches of three frames with new noise in every pair; the last ones are wrong."""
    rng = np.random.default_rng(seed)
    blocks = []
    for i, j in PAIRS:
        _, xy = common(data, i, j)
        xy = xy + noise_px * rng.normal(size=xy.shape)
        if wrong:
            xy[-wrong:, 2:] = rng.uniform([0, 0], data.scene.pixel_maps[0].network, (wrong, 2))
        blocks.append(xy)
    lengths = [len(block) for block in blocks]
    return Matches(
        pairs=PAIRS,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        xy=np.concatenate(blocks).astype(np.float32),
        confidence=np.ones(sum(lengths), np.float32),
    )


def common(data: SyntheticScene, i: int, j: int) -> tuple[Int64, NDArray[np.float64]]:
    """Tracks that two frames share, and their (n, 4) network pixels."""
    tracks = data.tracks
    rows_i, rows_j = (np.flatnonzero(tracks.frame_index == s) for s in (i, j))
    shared, in_i, in_j = np.intersect1d(
        tracks.track_index[rows_i], tracks.track_index[rows_j], return_indices=True
    )
    to_network = data.scene.pixel_maps[0].to_network
    return shared, np.concatenate(
        [to_network(tracks.xy[rows_i[in_i]]), to_network(tracks.xy[rows_j[in_j]])], axis=1
    )


def match(data: SyntheticScene, matches: Matches, pairs: Int64 = PAIRS) -> VerifiedMatches:
    return PredictedSource(TrackConfig(), matches).match(data.scene, pairs, SilentProgress())


def test_exact_matches_become_the_true_tracks() -> None:
    data = synthetic_scene(num_frames=3, num_points=60)
    observations = link([match(data, network_matches(data, 0))], np.zeros(3), np.full(3, 3.0))
    # The generator keeps every point; with so few, no two share a cell of the merging grid.
    assert len(np.unique(observations.track_index)) == len(data.xyz)
    order = np.lexsort(np.round(observations.xy, 1).T), np.lexsort(np.round(data.tracks.xy, 1).T)
    np.testing.assert_allclose(observations.xy[order[0]], data.tracks.xy[order[1]], atol=FLOAT32_PX)


def test_noisy_positions_of_one_point_merge() -> None:
    data = synthetic_scene(num_frames=3, num_points=60)
    verified = match(data, network_matches(data, 0.2))
    seen_in_three = np.sum(np.bincount(data.tracks.track_index) == 3)
    length = np.bincount(link([verified], np.zeros(3), np.full(3, 3.0)).track_index)
    # A point near the border of a cell may split, so most, but not all.
    assert np.sum(length == 3) > 0.7 * seen_in_three
    for xy in verified.keypoints:
        assert len(np.unique(np.floor(xy / 2), axis=0)) == len(xy)  # one a network pixel


def test_wrong_matches_are_refused() -> None:
    data = synthetic_scene(num_frames=3, num_points=200)
    verified = match(data, network_matches(data, 0.3, wrong=40))
    for (i, j), rows in zip(verified.pairs, verified.matches, strict=True):
        total = len(common(data, i, j)[0])
        assert total - 40 - 10 < len(rows) < total - 40 + 15  # near the epipolar line by chance


def test_pure_noise_and_too_few_matches_give_no_pair() -> None:
    data = synthetic_scene(num_frames=3, num_points=30)
    matches = network_matches(data, 0)
    noise = np.random.default_rng(0).uniform(0, 150, matches.xy.shape).astype(np.float32)
    assert not len(match(data, replace(matches, xy=noise)).pairs)
    few = synthetic_scene(num_frames=3, num_points=12)
    assert not len(match(few, network_matches(few, 0)).pairs)


def test_matches_in_the_padding_and_nan_are_left_out() -> None:
    data = synthetic_scene(num_frames=3, num_points=60)
    matches = network_matches(data, 0)
    xy = matches.xy.copy()
    xy[:5, 0] = -3
    xy[5:10, 3] = np.nan
    verified = match(data, replace(matches, xy=xy))
    assert len(verified.matches[0]) == matches.offsets[1] - 10


def test_only_the_pairs_that_are_asked_for() -> None:
    data = synthetic_scene(num_frames=3, num_points=60)
    verified = match(data, network_matches(data, 0), np.array([[0, 2]]))
    np.testing.assert_array_equal(verified.pairs, [[0, 2]])


def test_no_matches_at_all() -> None:
    data = synthetic_scene(num_frames=3, num_points=60)
    empty = Matches(
        pairs=np.empty((0, 2), np.int64),
        offsets=np.zeros(1, np.int64),
        xy=np.empty((0, 4), np.float32),
        confidence=np.empty(0, np.float32),
    )
    verified = match(data, empty)
    assert verified.pairs.shape == (0, 2)
    assert [len(xy) for xy in verified.keypoints] == [0, 0, 0]
