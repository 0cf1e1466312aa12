"""Other focal lengths than the first estimate, where all matches together fit better with them."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.models.tiny.assemble import join, misfit, refine
from vggt_sfm.scene import Matches

_PAIRS, _MATCHES = 24, 100  # that the search looks at; of each pair the most confident
_ITERATIONS = 300
_STEP = 1.41
_MOST_STEPS = 3
_LEAST_FRAMES = 3


def other_focals(
    matches: Matches, intrinsics: Float64, cameras: Int64, known: Bool
) -> list[Float64]:
    """Walk to longer or shorter focal lengths as long as some of the matches fit better together.

    Pairs alone are often content with a focal length that is far from the truth: wherever the
    camera hardly turns, or all look at one point.

    Args:
        matches: The model's matches, the most confident of each pair first.
        intrinsics: (S, 3, 3) first estimates, network px.
        cameras: (S,) numbers of the frames' cameras.
        known: (S,) whose focal length is known.

    Returns:
        (S, 3, 3) intrinsics that are worth a closer look; none where the first estimates are best.
    """
    if len(intrinsics) < _LEAST_FRAMES or known.all():
        return []
    strongest = np.argsort(-np.diff(matches.offsets), kind="stable")[:_PAIRS]
    few = matches.select(np.sort(strongest), _MATCHES)

    def tried(factor: float) -> tuple[float, Float64]:
        K = intrinsics.copy()
        K[~known, :2, :2] *= factor
        found = refine(join(few, K, _ITERATIONS), cameras, known)
        return misfit(few, found), found.intrinsics

    best, _ = tried(1.0)
    better: list[Float64] = []
    for step in (_STEP, 1 / _STEP):
        factor = step
        for _ in range(_MOST_STEPS):
            cost, K = tried(factor)
            if cost >= best:
                break
            best, better, factor = cost, [K], factor * step
    return better
