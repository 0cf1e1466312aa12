"""What every source of matches delivers, and the protocol it follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vggt_sfm._checks import Float64, Int64, UInt8, check_shape
from vggt_sfm._log import Progress
from vggt_sfm.scene import Frame, Scene

ReadImage = Callable[[Frame], UInt8]
"""Returns a frame's upright (H, W, 3) RGB pixels."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VerifiedMatches:
    """Geometrically verified correspondences of one source."""

    source: str
    keypoints: tuple[Float64, ...]  # S times (K_s, 2) original px; no position twice
    pairs: Int64  # (P, 2) frame indices, first < second, unique
    matches: tuple[Int64, ...]  # P times (n, 2) rows of the two frames' keypoints

    def __post_init__(self) -> None:
        for xy in self.keypoints:
            check_shape("VerifiedMatches.keypoints", xy, "K 2")
        check_shape("VerifiedMatches.pairs", self.pairs, f"{len(self.matches)} 2")
        for rows in self.matches:
            check_shape("VerifiedMatches.matches", rows, "n 2")


class MatchSource(Protocol):
    """Something that finds points which show the same spot in two images."""

    def match(self, scene: Scene, pairs: Int64, progress: Progress) -> VerifiedMatches:
        """Match (P, 2) pairs of frames; a pair without matches is left out, not an error."""


def verified_matches(
    source: str, keypoints: Sequence[Float64], matches: Mapping[tuple[int, int], Int64]
) -> VerifiedMatches:
    """Put the matches of pairs together, without the pairs that have none."""
    kept = {pair: rows for pair, rows in matches.items() if len(rows)}
    return VerifiedMatches(
        source=source,
        keypoints=tuple(keypoints),
        pairs=np.array(list(kept), np.int64).reshape(-1, 2),
        matches=tuple(kept.values()),
    )


def matched_counts(found: VerifiedMatches) -> Int64:
    """Return the (S,) number of each frame's keypoints that have a match."""
    matched = [np.zeros(len(xy), bool) for xy in found.keypoints]
    for (i, j), rows in zip(found.pairs.tolist(), found.matches, strict=True):
        matched[i][rows[:, 0]] = True
        matched[j][rows[:, 1]] = True
    return np.array([mask.sum() for mask in matched], np.int64)
