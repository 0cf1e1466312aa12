"""What every source of matches delivers, and the protocol it follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

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
