"""Matches of any two of some frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vggt_sfm.models.tiny.context import PairContext, View
from vggt_sfm.models.tiny.matching import Candidates, candidates, match_pair, told_candidates
from vggt_sfm.models.tiny.network import Features, TinyBackbone

_BEST = 300  # matches whose confidence tells whether a pair is obvious
_OBVIOUS = 0.06  # median of their confidence; above, poses are as good without context


class PairMatcher:
    """Matches frames that tell each other what they show, or as each describes itself."""

    def __init__(
        self,
        backbone: TinyBackbone,
        context: PairContext | None,
        features: Sequence[Features],
        *,
        sparing: bool,
    ) -> None:
        """Match nothing yet.

        Args:
            backbone: For its temperatures.
            context: What two views tell each other; None: nothing.
            features: Of S frames of one size, each on its own (B = 1).
            sparing: Use context only where matches are not confident without it.
        """
        self._backbone = backbone
        self._context = context
        self._sparing = sparing
        self._features = features
        self._alone: dict[int, Candidates] = {}
        self._views: dict[int, View] = {}

    @torch.no_grad()
    def match(self, i: int, j: int, *, most: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Match two frames.

        Args:
            i: First frame.
            j: Second frame.
            most: Keep at most this many matches, the most confident.

        Returns:
            (n, 4) px (x, y in the first, x, y in the second) and (n,) confidence from 0 to 1,
            descending.
        """
        if self._context is None or self._sparing:
            alone = self._candidates(i), self._candidates(j)
            found = match_pair(self._backbone, *alone, most=most)
            if self._context is None or _is_obvious(found[1]):
                return found
        features = self._features[i], self._features[j]
        views = self._view(i, self._context), self._view(j, self._context)
        told = told_candidates(self._context, views, features)
        return match_pair(self._backbone, *told, most=most)

    def _candidates(self, s: int) -> Candidates:
        if s not in self._alone:
            self._alone[s] = candidates(self._features[s], self._backbone.log_temperature)
        return self._alone[s]

    def _view(self, s: int, context: PairContext) -> View:
        if s not in self._views:
            self._views[s] = context.view(self._features[s])
        return self._views[s]


def _is_obvious(confidence: torch.Tensor) -> bool:
    """Tell from (n,) descending confidences whether a pair's matches can be trusted as they are."""
    return len(confidence) >= _BEST and float(confidence[_BEST // 2]) > _OBVIOUS
