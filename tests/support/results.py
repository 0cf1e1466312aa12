"""Results of benchmarks that nobody measured."""

from __future__ import annotations

import numpy as np

from vggt_sfm.benchmarks.bench.rows import Row, degrees
from vggt_sfm.benchmarks.datasets.bags import Bag
from vggt_sfm.benchmarks.scores import Errors, scores_of
from vggt_sfm.io.plain import to_plain


def row(bag: Bag, errors_deg: list[float], mode: str = "ff") -> Row:
    """Of a bag whose pairs have these rotation errors and no other."""
    errors = Errors(rotation=np.array(errors_deg), translation=np.zeros(len(errors_deg)))
    return Row(
        scene=bag.name,
        mode=mode,
        status="done",
        images=len(bag.images),
        registered=len(bag.images),
        seconds=2.0,
        rotation_deg=degrees(errors.rotation),
        translation_deg=degrees(errors.translation),
        **to_plain(scores_of(errors)),
    )
