"""Results of benchmarks that nobody measured."""

from __future__ import annotations

import numpy as np

from vggt_sfm.benchmarks.bench.rows import Row, scored
from vggt_sfm.benchmarks.datasets.bags import Bag
from vggt_sfm.benchmarks.scores import Errors


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
        **scored(errors),
    )
