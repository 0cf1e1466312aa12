"""Points of some frames followed through the others, as matches between frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from vggt_sfm._checks import Bool, Float32, Float64, Int64
from vggt_sfm._log import Progress
from vggt_sfm.models.heads.track import Tracker
from vggt_sfm.scene import Matches, PixelMap
from vggt_sfm.tracking.queries import choose_points, choose_query_frames, frames_to_follow

# Observations below these are not used. Those of the published evaluation on CO3D, which are
# meant to be low: what is wrong is found by geometry afterwards.
MIN_VISIBILITY = 0.05
MIN_CONFIDENCE = 0.2

_SAME_PLACE_PX = 0.5  # of the network's input
_MOST_TARGETS = 48  # frames that a frame's points are followed to, those most like it first


class FollowedPoints(NamedTuple):
    """Where N points of one frame lie in T frames, the first of which is their own."""

    xy: Float64  # (T, N, 2) network px, corner origin
    visibility: Float32  # (T, N) 0 to 1
    confidence: Float32  # (T, N) 0 to 1

    @property
    def usable(self) -> Bool:
        """(T, N): which places are worth a look."""
        seen = (self.visibility >= MIN_VISIBILITY) & (self.confidence >= MIN_CONFIDENCE)
        return np.asarray(seen & np.isfinite(self.xy).all(axis=-1))


@dataclass(frozen=True, slots=True)
class Follower:
    """A tracker and the features of S frames."""

    tracker: Tracker
    maps: Tensor  # (1, S, F, H / 2, W / 2)

    def __call__(self, frames: Int64, xy: Float64) -> FollowedPoints:
        """Follow points of the first of some frames to the others.

        Any frame may come first: the network speaks of one frame among equals, and its features
        were made with all frames in view.

        Args:
            frames: (T,) frame indices.
            xy: (N, 2) network px, corner origin.
        """
        maps = self.maps[:, torch.as_tensor(frames, device=self.maps.device)]
        # The tracker has the centre of the first pixel at 0.
        query = torch.as_tensor(xy - 0.5, dtype=maps.dtype, device=maps.device)[None]
        iterations, visibility, confidence = self.tracker(maps, query)
        return FollowedPoints(
            iterations[-1, 0].double().cpu().numpy() + 0.5,
            visibility[0].float().cpu().numpy(),
            confidence[0].float().cpu().numpy(),
        )


Follow = Callable[[Int64, Float64], FollowedPoints]
"""Follows (N, 2) points, network px, of the first of (T,) frames to all of them."""


def match_by_following(
    follow: Follow,
    images: Float32,
    pixel_maps: tuple[PixelMap, ...],
    similarity: Float64,
    *,
    query_frames: int,
    query_points: int,
    progress: Progress,
) -> Matches:
    """Follow points of several frames and pair each with the places where it was found.

    Args:
        follow: What follows points.
        images: (S, 3, H, W) network images in [0, 1].
        pixel_maps: Which part of each shows the photo.
        similarity: (S, S) likeness of frames.
        query_frames: How many frames to choose points in.
        query_points: How many points in each; fewer where an earlier frame's points were found.
        progress: Counts query frames.

    Returns:
        Matches between query frames and the others, with visibility times confidence as
        their confidence.
    """
    pairs: dict[tuple[int, int], list[Float64]] = {}
    known = [np.empty((0, 2))] * len(images)  # places of points, by frame
    chosen = choose_query_frames(similarity, query_frames)
    with progress.task("follow points", len(chosen)) as task:
        for query in chosen.tolist():
            box = pixel_maps[query].content_box()
            xy = choose_points(images[query], box, query_points, known[query])
            frames = frames_to_follow(similarity, query, _MOST_TARGETS)
            if len(xy) and len(frames) > 1:
                _collect(follow(frames, xy), frames, pairs, known)
            task.advance()
    return _as_matches(pairs)


def _collect(
    followed: FollowedPoints,
    frames: Int64,
    pairs: dict[tuple[int, int], list[Float64]],
    known: list[Float64],
) -> None:
    """Add rows of x, y in the first frame, x, y in the second, confidence to their pairs."""
    query, usable = int(frames[0]), followed.usable
    here = followed.xy[0]
    for t, frame in enumerate(frames.tolist()):
        if frame == query:
            continue
        rows = np.flatnonzero(usable[t])
        there = _snapped(followed.xy[t, rows], known[frame])
        known[frame] = np.concatenate([known[frame], there])
        trust = (followed.visibility[t, rows] * followed.confidence[t, rows])[:, None]
        ends = (here[rows], there) if query < frame else (there, here[rows])
        key = (min(query, frame), max(query, frame))
        pairs.setdefault(key, []).append(np.hstack([*ends, trust]))
    known[query] = np.concatenate([known[query], here[usable[0]]])


def _snapped(places: Float64, known: Float64) -> Float64:
    """Move (n, 2) places onto known ones beside them, so that one point has one place."""
    if not len(places) or not len(known):
        return places
    distance, nearest = KDTree(known).query(places)
    return np.where((distance <= _SAME_PLACE_PX)[:, None], known[nearest], places)


def _as_matches(pairs: dict[tuple[int, int], list[Float64]]) -> Matches:
    order = sorted(pairs)
    rows = [np.concatenate(pairs[key]) for key in order]
    table = np.concatenate([np.empty((0, 5)), *rows])
    return Matches(
        pairs=np.array(order, np.int64).reshape(-1, 2),
        offsets=np.concatenate([[0], np.cumsum([len(part) for part in rows])]).astype(np.int64),
        xy=table[:, :4].astype(np.float32),
        confidence=table[:, 4].astype(np.float32),
    )
