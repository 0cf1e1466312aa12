"""Pairs of images that look alike where the model says they are not."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array

from vggt_sfm._checks import Bool
from vggt_sfm.ba.bundle import Bundle
from vggt_sfm.ba.report import PairReport

# Verified matches that a pair has to have before its disagreement says something.
LEAST_MATCHES = 15
# Of these, a pair of the same surface keeps more: on 48 rendered scenes, 697 of the 700 pairs of
# those 25 that came out right.
_DOUBTFUL = 0.3


def doubtful_pairs(seed: Bundle, kept: Bool) -> tuple[PairReport, ...]:
    """Return pairs whose matches the adjusted model contradicts, the most matches first.

    Either the images show different things that look alike (doppelgangers), or one of them is
    misplaced.

    Args:
        seed: The start, with all tracks.
        kept: (M,) observations that the model keeps.
    """
    matches, agree = _common(seed, np.ones(len(seed.xy), bool)), _common(seed, kept)
    first, second = np.triu_indices(len(seed.names), k=1)
    counts, good = matches[first, second], agree[first, second]
    found = np.flatnonzero((counts >= LEAST_MATCHES) & (good < _DOUBTFUL * counts))
    pairs = [
        PairReport(
            first=seed.names[first[n]],
            second=seed.names[second[n]],
            matches=int(counts[n]),
            agree=int(good[n]),
        )
        for n in found
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.matches))


def _common(seed: Bundle, rows: Bool) -> np.ndarray:
    """Return the (S, S) numbers of points that two images share among some observations."""
    sees = csr_array(
        coo_array(
            (np.ones(int(rows.sum())), (seed.image_of[rows], seed.point_of[rows])),
            shape=(len(seed.names), len(seed.xyz)),
        )
    )
    return np.asarray((sees @ sees.T).toarray())
