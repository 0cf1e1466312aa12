"""Followed points become matches, and one physical point one track."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from synthetic import orbit, plain_scene

from vggt_sfm._log import SilentProgress
from vggt_sfm.geometry.cameras import project, unproject
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.inference.point_tracks import (
    MIN_VISIBILITY,
    FollowedPoints,
    Follower,
    match_by_following,
)
from vggt_sfm.models import VGGTConfig
from vggt_sfm.models.heads.track import Tracker
from vggt_sfm.scene import Matches, Scene, Size
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.linking import Observations, link
from vggt_sfm.tracking.sources.predicted import PredictedSource

Array = NDArray[np.float64]
NETWORK = Size(200, 150)
K = np.array([[220.0, 0, 100], [0, 220, 75], [0, 0, 1]])
PIXELS = np.full((5, 3, 150, 200), 0.5, np.float32)


class Ball:
    """A perfect tracker of points on a ball of radius 1, which hides its own far side."""

    def __init__(self, noise_px: float = 0.0) -> None:
        self.poses = orbit(5, 60.0)
        self.noise_px = noise_px
        self.asked: dict[int, Array] = {}

    def surface(self, s: int, xy: Array) -> Array:
        """Return the (N, 3) world points seen at pixels; NaN beside the ball."""
        eye = invert(self.poses[s])[:, 3]
        away = unproject(xy, np.ones(len(xy)), K, self.poses[s]) - eye
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        half = away @ eye
        with np.errstate(invalid="ignore"):
            near = -half - np.sqrt(half**2 - eye @ eye + 1)
        return eye + near[:, None] * away

    def __call__(self, frames: NDArray[np.int64], xy: Array) -> FollowedPoints:
        self.asked[int(frames[0])] = xy
        return self.report(frames, self.surface(int(frames[0]), xy))

    def report(self, frames: NDArray[np.int64], world: Array) -> FollowedPoints:
        rng = np.random.default_rng(int(frames[0]))
        places = np.stack([project(world, self.poses[s], K)[0] for s in frames])
        seen = np.stack(
            [((invert(self.poses[s])[:, 3] - world) * world).sum(axis=1) > 0 for s in frames]
        )
        places[1:] += self.noise_px * rng.normal(size=places[1:].shape)
        visibility = np.where(seen & seen[0], 0.9, 0.01).astype(np.float32)
        return FollowedPoints(places, visibility, np.full_like(visibility, 0.8))


def matched(follow: Callable[..., FollowedPoints], query_frames: int = 3) -> tuple[Scene, Matches]:
    scene = plain_scene(5, Size(400, 300))
    angle = np.linspace(0, 1, 5)[:, None]
    similarity = 1 - np.abs(angle - angle.T)
    matches = match_by_following(
        follow,
        PIXELS,
        scene.pixel_maps,
        similarity,
        query_frames=query_frames,
        query_points=400,
        progress=SilentProgress(),
    )
    return scene, matches


def linked(scene: Scene, matches: Matches) -> Observations:
    pairs = np.stack(np.triu_indices(5, k=1), axis=1).astype(np.int64)
    verified = PredictedSource(TrackConfig(), matches).match(scene, pairs, SilentProgress())
    return link([verified], np.zeros(5), np.full(5, 3.0))


def test_matches_show_the_same_point_in_both_frames() -> None:
    ball = Ball()
    _, matches = matched(ball)
    assert len(matches.xy) > 200
    assert (matches.pairs[:, 0] < matches.pairs[:, 1]).all()
    for p, (i, j) in enumerate(matches.pairs.tolist()):
        xy, trust = matches.of_pair(p)
        there = project(ball.surface(i, xy[:, :2].astype(np.float64)), ball.poses[j], K)[0]
        distance = np.linalg.norm(there - xy[:, 2:], axis=1)
        assert np.median(distance) < 1e-3
        assert (distance > 0.6).mean() < 0.03  # moved onto a known place, at the ball's edge
        np.testing.assert_allclose(trust, 0.9 * 0.8, rtol=1e-6)


def test_hidden_points_are_not_matched() -> None:
    class Unsure(Ball):
        def __call__(self, frames: NDArray[np.int64], xy: Array) -> FollowedPoints:
            found = super().__call__(frames, xy)
            return found._replace(visibility=np.full_like(found.visibility, MIN_VISIBILITY / 2))

    _, matches = matched(Unsure())
    assert len(matches.xy) == 0


def test_points_that_were_followed_already_are_not_asked_for_again() -> None:
    ball = Ball()
    matched(ball)
    first, second, third = ball.asked.values()
    assert len(second) < len(first)
    assert len(third) < len(first)
    world = ball.surface(*next(iter(ball.asked.items())))
    query = list(ball.asked)[1]
    again = project(world[np.isfinite(world).all(axis=1)], ball.poses[query], K)[0]
    facing = ball.surface(query, again)
    again = again[np.isfinite(facing).all(axis=1)]
    # a grid over the whole image has about one point in every 8.7 x 8.7 px
    nearest = np.linalg.norm(second[:, None] - again[None], axis=-1).min(axis=1)
    assert np.median(nearest) > 4


def test_one_point_followed_from_several_frames_is_one_track() -> None:
    class Insistent(Ball):
        """Follows the same 300 physical points, whatever it is asked for."""

        world = np.random.default_rng(5).normal(size=(300, 3)) * [0.5, 0.5, 1]
        world /= np.linalg.norm(world, axis=1, keepdims=True)

        def __call__(self, frames: NDArray[np.int64], xy: Array) -> FollowedPoints:
            return self.report(frames, self.world)

    ball = Insistent(noise_px=0.5)
    scene, matches = matched(ball, query_frames=2)
    tracks = linked(scene, matches)
    number = int(tracks.track_index.max()) + 1
    points = set()
    for n in range(number):
        rows = np.flatnonzero(tracks.track_index == n)
        seen = zip(tracks.frame_index[rows], tracks.xy[rows], strict=True)
        world = [ball.surface(s, scene.pixel_maps[s].to_network(xy)[None])[0] for s, xy in seen]
        points.add(int(KDTree(ball.world).query(np.nanmean(world, axis=0))[1]))
    assert len(points) > 100
    assert number < 1.08 * len(points)  # 1.15 if places are not snapped
    assert len(tracks.xy) > 4 * number


def test_tracks_are_seen_in_original_pixels_where_the_point_is() -> None:
    ball = Ball()
    scene, matches = matched(ball)
    tracks = linked(scene, matches)
    for n in range(0, tracks.track_index.max(), 17):
        rows = np.flatnonzero(tracks.track_index == n)
        xy, frames = tracks.xy[rows], tracks.frame_index[rows]
        world = [ball.surface(s, p[None] / 2)[0] for s, p in zip(frames, xy, strict=True)]
        assert np.ptp(np.array(world), axis=0).max() < 0.01


def test_follower_speaks_of_corner_origin_pixels() -> None:
    torch.manual_seed(0)
    config = VGGTConfig(track_features=8, track_corr_levels=2, track_corr_radius=1, track_hidden=16)
    tracker = Tracker(config).eval()
    maps = torch.randn(1, 4, 8, 12, 16)
    xy = np.array([[3.5, 4.5], [20.0, 11.25]])
    with torch.inference_mode():
        found = Follower(tracker, maps)(np.array([2, 0, 3]), xy)
        plain, visibility, _ = tracker(
            maps[:, [2, 0, 3]], torch.tensor(xy - 0.5, dtype=torch.float32)[None]
        )
    np.testing.assert_array_equal(found.xy[0], xy)
    np.testing.assert_allclose(found.xy, plain[-1, 0] + 0.5, rtol=1e-6)
    np.testing.assert_array_equal(found.visibility, visibility[0])
    assert found.usable.shape == (3, 2)
