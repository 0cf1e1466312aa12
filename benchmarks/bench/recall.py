"""A chart of how many pairs are how good."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vggt_sfm._chart import Color, Panel, Series, line_chart
from vggt_sfm.benchmarks.bench.modes import TITLES
from vggt_sfm.benchmarks.bench.page import Chart
from vggt_sfm.benchmarks.bench.rows import Row
from vggt_sfm.benchmarks.bench.summary import grouped, known_errors
from vggt_sfm.benchmarks.datasets.bags import Bag, Rules
from vggt_sfm.benchmarks.scores import pool

_STYLES: tuple[tuple[Color, bool], ...] = (
    ("first", True),
    ("first", False),
    ("second", False),
    ("second", True),
)
_FILE = "recall.svg"
_LAST_DEG = 30


def recall_chart(rows: Sequence[Row], bags: Sequence[Bag], rules: Rules) -> Chart | None:
    """Draw recall over the error, a line a mode; None where there is no ground truth."""
    series, words = [], []
    for mode, style in zip(dict.fromkeys(row.mode for row in rows), _STYLES, strict=False):
        recall = _recall([row for row in rows if row.mode == mode], bags, rules)
        if recall is None:
            continue
        points = list(enumerate(recall))
        series.append(Series(name=TITLES[mode], points=points, color=style[0], dashed=style[1]))
        below = f"{recall[5]:.0f} % below 5°, {recall[_LAST_DEG]:.0f} % below 30°"
        words.append(f"{TITLES[mode]}: {below}")
    if not series:
        return None
    panel = Panel(
        series=series,
        x_label="larger of rotation and direction error, °",
        y_label="pairs below it, %",
        x_ticks=range(0, _LAST_DEG + 1, 5),
        y_ticks=range(0, 101, 20),
    )
    alternative = "; ".join(words)
    svg = line_chart(panel, title="Recall over the pose error", description=alternative)
    return Chart(svg, _FILE, alternative)


def _recall(rows: Sequence[Row], bags: Sequence[Bag], rules: Rules) -> list[float] | None:
    """Percent of pairs below 0, 1, … degrees, pooled and averaged as the rules have it."""
    known = known_errors(grouped(rows, bags, rules.averaged_over).values())
    if not known:
        return None
    curves = []
    for errors in map(pool, known):
        worst = errors.exact if rules.area == "auc_exact" else errors.folded
        curves.append([100 * float(np.mean(worst < t)) for t in range(_LAST_DEG + 1)])
    return [float(mean) for mean in np.mean(curves, axis=0)]
