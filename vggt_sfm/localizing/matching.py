"""Matches of new photographs with those of a model, and with one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vggt_sfm._checks import Int64
from vggt_sfm._log import Progress
from vggt_sfm.scene import Frame
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.features import Features, extract_features, verified_places
from vggt_sfm.tracking.guidance import Window
from vggt_sfm.tracking.masks import ReadMask
from vggt_sfm.tracking.matches import ReadImage, VerifiedMatches, verified_matches
from vggt_sfm.tracking.search import SearchPoints, search
from vggt_sfm.tracking.sources.guided import unit_vectors

# The largest features of two images tell at a fraction of the cost whether they have anything in
# common. Source: Wu, "Towards linear-time incremental structure from motion", 3DV 2013, section 3.
_LARGEST = 400
_NO_LINE = np.zeros((3, 3))


def match_new(
    frames: Sequence[Frame],
    first_new: int,
    neighbors: int,
    config: TrackConfig,
    *,
    read_image: ReadImage,
    read_mask: ReadMask,
    progress: Progress,
) -> VerifiedMatches:
    """Match every new photograph with the old and the new ones that look most alike.

    Args:
        frames: Old photographs, then new ones.
        first_new: Row of the first new one.
        neighbors: Old ones, and new ones, that each is matched with.
        config: Of features, matching and verification.
        read_image: Returns a frame's (H, W, 3) RGB pixels.
        read_mask: Returns a frame's usable pixels.
        progress: Counts images and pairs.

    Returns:
        Verified matches of the pairs that have any.
    """
    features = extract_features(frames, config, read_image, read_mask, progress)
    pairs = _likely_pairs(features, first_new, neighbors, config, progress)
    rows: dict[tuple[int, int], Int64] = {}
    with progress.task("match", len(pairs)) as task:
        for i, j in pairs:
            both = (features[i], features[j])
            found = _search(*both, config.max_ratio)
            rows[i, j] = verified_places(both, (frames[i].size, frames[j].size), found, config)
            task.advance()
    return verified_matches("sift", [found.positions for found in features], rows)


def _likely_pairs(
    features: Sequence[Features],
    first_new: int,
    neighbors: int,
    config: TrackConfig,
    progress: Progress,
) -> list[tuple[int, int]]:
    """Return (old, new) and (new, new) pairs, ascending."""
    count = len(features)
    groups = [range(first_new), range(first_new, count)]
    if max(map(len, groups)) <= neighbors + 1:
        return [(i, j) for j in range(first_new, count) for i in range(j)]
    large = [_largest(found) for found in features]
    pairs = set()
    with progress.task("compare", count - first_new) as task:
        for s in range(first_new, count):
            for group in groups:
                others = [t for t in group if t != s]
                alike = [-len(_search(large[s], large[t], config.max_ratio)) for t in others]
                best = np.argsort(alike, kind="stable")[:neighbors]
                pairs |= {(min(s, others[k]), max(s, others[k])) for k in best.tolist()}
            task.advance()
    return sorted(pairs)


def _largest(features: Features) -> Features:
    rows = np.sort(np.argsort(-features.keypoints[:, 2], kind="stable")[:_LARGEST])
    return features._replace(
        keypoints=features.keypoints[rows],
        descriptors=features.descriptors[rows],
        position_of=features.position_of[rows],
    )


def _search(first: Features, second: Features, max_ratio: float) -> Int64:
    """Return (n, 2) rows of keypoints that are each other's nearest in the whole image."""
    nowhere = np.full((len(first.keypoints), 2), np.nan)
    anywhere = Window(np.inf, np.inf)
    points, others = _points(first), _points(second)
    return search(points, others, nowhere, anywhere, _NO_LINE, max_ratio=max_ratio)


def _points(features: Features) -> SearchPoints:
    return SearchPoints(features.keypoints[:, :2], unit_vectors(features.descriptors))
