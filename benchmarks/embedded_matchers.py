"""The embedded model and SIFT as matchers of two photographs, with the most confident first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch

from vggt_sfm._checks import Float32, Float64, Int64
from vggt_sfm._log import SilentProgress
from vggt_sfm.io.images import read_upright
from vggt_sfm.io.preprocess import network_images
from vggt_sfm.models.tiny.model import TinyModel
from vggt_sfm.models.tiny.network import Features as NetworkFeatures
from vggt_sfm.scene import Frame, Matches, PixelMap
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.features import Features, closer_look, extract_features
from vggt_sfm.tracking.masks import no_mask
from vggt_sfm.training.arrays import save_arrays

MOST = 1000  # matches of a pair
SIFT_LOOK = closer_look(TrackConfig())
_FARTHEST_RAD = 0.7  # between descriptors: COLMAP's max_distance


class Found(NamedTuple):
    """Matches of two photographs, the most confident first."""

    xy: Float64  # (n, 4) x, y in the first and x, y in the second, original px
    confidence: Float64  # (n,) the higher the better


class Matcher(Protocol):
    """Something that matches two of S photographs."""

    def match(self, i: int, j: int) -> Found:
        """Match two photographs by their numbers."""


class ModelMatcher:
    """The embedded model; it sees each photograph once, at the size of a pair."""

    def __init__(
        self, model: TinyModel, frames: Sequence[Frame], pixel_maps: Sequence[PixelMap]
    ) -> None:
        self._model = model
        self._frames = frames
        self._maps = pixel_maps
        self._seen: dict[int, NetworkFeatures] = {}

    @torch.no_grad()
    def match(self, i: int, j: int) -> Found:
        """Match two photographs."""
        matcher = self._model.matcher([self._see(i), self._see(j)])
        xy, confidence = matcher.match(0, 1, most=MOST)
        points, trust = xy.cpu().numpy(), confidence.cpu().numpy()
        return _in_photographs(points, trust, self._maps[i], self._maps[j])

    @torch.no_grad()
    def _see(self, s: int) -> NetworkFeatures:
        if s not in self._seen:
            batch = torch.as_tensor(network_images([self._frames[s]], [self._maps[s]]))
            batch = batch.contiguous(memory_format=torch.channels_last)
            self._seen[s] = self._model.backbone(batch)
        return self._seen[s]


class PredictedMatcher:
    """What the embedded model matched while it predicted a whole set."""

    def __init__(self, matches: Matches, pixel_maps: Sequence[PixelMap]) -> None:
        self._matches = matches
        self._maps = pixel_maps
        self._number = {(int(i), int(j)): p for p, (i, j) in enumerate(matches.pairs)}

    def match(self, i: int, j: int) -> Found:
        """Return the matches of two photographs, none if they were not compared."""
        if (i, j) not in self._number:
            return Found(np.empty((0, 4)), np.empty(0))
        xy, confidence = self._matches.of_pair(self._number[i, j])
        order = np.argsort(-confidence, kind="stable")
        return _in_photographs(xy[order], confidence[order], self._maps[i], self._maps[j])


def _in_photographs(xy: Float32, confidence: Float32, first: PixelMap, second: PixelMap) -> Found:
    points = xy.astype(np.float64)
    sides = [first.to_original(points[:, :2]), second.to_original(points[:, 2:])]
    return Found(np.concatenate(sides, axis=1), confidence.astype(np.float64))


class SiftMatcher:
    """SIFT as the product extracts it where it looks closest, matched over the whole image."""

    def __init__(self, frames: Sequence[Frame], cache: Path) -> None:
        """Extract nothing yet.

        Args:
            frames: The photographs.
            cache: Folder for features, which are the same for all weights.
        """
        self._frames = frames
        self._cache = cache
        self._seen: dict[int, Features] = {}

    def match(self, i: int, j: int) -> Found:
        """Match two photographs."""
        first, second = self._see(i), self._see(j)
        rows, ratio = ratio_matches(_unit(first), _unit(second), SIFT_LOOK.max_ratio)
        order = np.argsort(ratio, kind="stable")
        rows, ratio = rows[order], ratio[order]
        xy = np.concatenate(
            [first.keypoints[rows[:, 0], :2], second.keypoints[rows[:, 1], :2]], axis=1
        )
        # a point with two orientations may match twice
        _, once = np.unique(xy, axis=0, return_index=True)
        best = np.sort(once)[:MOST]
        return Found(xy[best].astype(np.float64), 1 - ratio[best].astype(np.float64))

    def _see(self, s: int) -> Features:
        if s not in self._seen:
            self._seen[s] = self._features(self._frames[s])
        return self._seen[s]

    def _features(self, frame: Frame) -> Features:
        key = hashlib.sha256(f"{frame.sha256} {SIFT_LOOK}".encode()).hexdigest()[:16]
        path = self._cache / f"{key}.npz"
        if path.exists():
            with np.load(path) as kept:
                return Features(*(kept[field] for field in Features._fields))
        (found,) = extract_features(
            [frame], SIFT_LOOK, lambda f: read_upright(f.path), no_mask, SilentProgress()
        )
        self._cache.mkdir(parents=True, exist_ok=True)
        save_arrays(path, **found._asdict())
        return found


def ratio_matches(first: Float32, second: Float32, max_ratio: float) -> tuple[Int64, Float32]:
    """Match descriptors that are each other's nearest and have no rival, by COLMAP's rules.

    Args:
        first: (K, D) unit vectors.
        second: (L, D) unit vectors.
        max_ratio: Largest ratio of the angles to the best and the second-best, both ways.

    Returns:
        (n, 2) rows of both, ascending in the first, and (n,) the larger of both ratios.
    """
    if min(len(first), len(second)) < 2:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)
    cosine = first @ second.T
    partner, angle, ratio = _nearest(cosine)
    back, _, back_ratio = _nearest(cosine.T)
    both = np.maximum(ratio, back_ratio[partner])
    mutual = back[partner] == np.arange(len(first))
    rows = np.flatnonzero(mutual & (angle <= _FARTHEST_RAD) & (both <= max_ratio))
    return np.stack([rows, partner[rows]], axis=1), both[rows]


def _nearest(cosine: Float32) -> tuple[Int64, Float32, Float32]:
    """The best column of each row, its angle, and the ratio to the angle of the next best."""
    two = np.argpartition(-cosine, 1, axis=1)[:, :2]
    angles = np.arccos(np.clip(np.take_along_axis(cosine, two, axis=1), -1, 1))
    order = np.argsort(angles, axis=1)
    partner = np.take_along_axis(two, order, axis=1)[:, 0]
    best, next_best = np.take_along_axis(angles, order, axis=1).astype(np.float32).T
    ratio = best / np.maximum(next_best, np.float32(1e-9))
    return partner.astype(np.int64), best, np.asarray(ratio, np.float32)


def _unit(found: Features) -> Float32:
    vectors = found.descriptors.astype(np.float32)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))
