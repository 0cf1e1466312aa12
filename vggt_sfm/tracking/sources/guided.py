"""SIFT features, matched only where the prediction says that they can be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vggt_sfm._checks import Bool, Float32, Float64, Int64, UInt8
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.scene import Scene
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.features import (
    Features,
    match_until_enough,
    verified_places,
)
from vggt_sfm.tracking.guidance import Guidance, Window
from vggt_sfm.tracking.masks import ReadMask, no_mask
from vggt_sfm.tracking.matches import (
    ReadImage,
    VerifiedMatches,
    matched_counts,
    verified_matches,
)
from vggt_sfm.tracking.search import SearchPoints, search

_logger = get_logger(__name__)

# An image with fewer matched points is also matched beyond its windows and with other partners.
_WEAK = 60
_PARTNERS_OF_WEAK = 20
_LARGEST_ZOOM = 0.75  # octaves between a match's change of scale and that of the pair


class _Described(NamedTuple):
    """The features of one frame, ready to be searched for in others."""

    features: Features
    points: SearchPoints
    xyz: Float64  # (K, 3) where the prediction places them, NaN where it cannot


class GuidedSource:
    """Matches of SIFT features within windows around their predicted places.

    The number of pairs grows with overlap and the work of a pair with the size of its windows,
    so that repeated structure outside of them cannot mislead. Where a prediction is of no use,
    its windows are the whole image, which is plain matching.
    """

    name = "guided"

    def __init__(
        self,
        config: TrackConfig,
        guidance: Guidance,
        covisibility: Float64,
        read_image: ReadImage,
        read_mask: ReadMask = no_mask,
    ) -> None:
        self._config = config
        self._guidance = guidance
        self._covisibility = covisibility
        self._read_image = read_image
        self._read_mask = read_mask

    def match(self, scene: Scene, pairs: Int64, progress: Progress) -> VerifiedMatches:
        """Extract, search and verify; images without features simply have no matches.

        Args:
            scene: The frames, read at their full upright size.
            pairs: (P, 2) frame indices, first < second. Images that they leave with few matches
                are matched with others, too.
            progress: Counts images, then pairs.

        Returns:
            Verified matches of the pairs that have any.
        """
        if len(scene.frames) < 2:
            return verified_matches(self.name, [np.empty((0, 2))] * len(scene.frames), {})
        return match_until_enough(
            scene.frames,
            self._config,
            self._read_image,
            self._read_mask,
            progress,
            lambda features: self._match_features(features, scene, pairs, progress),
        )

    def _match_features(
        self, features: list[Features], scene: Scene, pairs: Int64, progress: Progress
    ) -> VerifiedMatches:
        described = [self._describe(s, found) for s, found in enumerate(features)]
        positions = [found.positions for found in features]
        rows: dict[tuple[int, int], Int64] = {}
        with progress.task("match", len(pairs)) as task:
            for i, j in pairs.tolist():
                rows[i, j] = self._match_pair(scene, described, (i, j), self._guidance.window(i, j))
                task.advance()
        found = verified_matches(self.name, positions, rows)
        weak = np.flatnonzero(matched_counts(found) < _WEAK)
        again = self._other_pairs(weak, {pair for pair, kept in rows.items() if len(kept)})
        with progress.task("match weak images", len(again)) as task:
            for i, j in again:
                rows[i, j] = self._match_pair(scene, described, (i, j), Window(np.inf, np.inf))
                task.advance()
        return verified_matches(self.name, positions, rows)

    def _describe(self, s: int, features: Features) -> _Described:
        xy = features.keypoints[:, :2]
        points = SearchPoints(xy, unit_vectors(features.descriptors))
        return _Described(features, points, self._guidance.lift(s, xy.astype(np.float64)))

    def _match_pair(
        self, scene: Scene, described: list[_Described], pair: tuple[int, int], window: Window
    ) -> Int64:
        """Return (n, 2) verified rows of both frames' distinct positions."""
        first, second = (described[s] for s in pair)
        rows = search(
            first.points,
            second.points,
            self._guidance.locate(first.xyz, pair[1]),
            window,
            self._guidance.fundamental(*pair),
            max_ratio=self._config.max_ratio,
        )
        rows = rows[_similar_zoom(first.features, second.features, rows)]
        return verified_places(
            (first.features, second.features),
            (scene.frames[pair[0]].size, scene.frames[pair[1]].size),
            rows,
            self._config,
        )

    def _other_pairs(self, weak: Int64, matched: set[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the likeliest pairs of weak images that have no matches yet."""
        wanted = set()
        for s in weak.tolist():
            partners = np.argsort(-self._covisibility[s], kind="stable")
            others = [int(t) for t in partners if t != s][:_PARTNERS_OF_WEAK]
            wanted |= {(min(s, t), max(s, t)) for t in others}
        return sorted(wanted - matched)


def _similar_zoom(first: Features, second: Features, rows: Int64) -> Bool:
    """Mark (n,) matches whose change of scale is near the usual one of the pair."""
    if not len(rows):
        return np.empty(0, bool)
    zoom = np.log2(second.keypoints[rows[:, 1], 2] / first.keypoints[rows[:, 0], 2])
    return np.asarray(np.abs(zoom - np.median(zoom)) <= _LARGEST_ZOOM)


def unit_vectors(descriptors: UInt8) -> Float32:
    """Scale (K, D) descriptors to unit length."""
    values = descriptors.astype(np.float32)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(length, 1))
