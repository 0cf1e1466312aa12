"""Markdown of what a rescue does: to hard sets one by one, and to usual scenes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.rescue.outcome import Outcome
from vggt_sfm.benchmarks.rescue.runs import Outcomes

_WAY = ("@5/@30", "right", "named", "wrong unnamed")
_NONE = "–"


def sets_table(found: Sequence[Outcomes], reasons: Mapping[str, str]) -> str:
    """Write a row for each set.

    Args:
        found: Of the sets.
        reasons: Why a set is hard, by its name.
    """
    titles = ["set", "images", *_before_and_after(), "rungs", "CPU s ratio"]
    rows = []
    for each in found:
        rows.append(
            [
                f"{each.name}: {reasons[each.name]}",
                str(each.before.images),
                *_together([each.before]),
                *_together([each.after]),
                each.after.rungs or _NONE,
                _ratio([each]),
            ]
        )
    return markdown.table(titles, rows)


def usual_table(found: Sequence[Outcomes]) -> str:
    """Write one row of usual scenes: mean areas, and images counted together."""
    titles = [
        "usual scenes",
        *_before_and_after(),
        "right but named",
        "CPU s ratio",
        "of these, not in need of a rescue",
        "their CPU s ratio",
    ]
    before = [each.before for each in found]
    after = [each.after for each in found]
    alarms = [str(sum(outcome.right_named for outcome in way)) for way in (before, after)]
    cells = [str(len(found)), *_together(before), *_together(after), "/".join(alarms)]
    good = [each for each in found if not each.after.rungs]
    return markdown.table(titles, [[*cells, _ratio(found), str(len(good)), _ratio(good)]])


def _before_and_after() -> list[str]:
    return [f"{when} {title}" for when in ("before", "after") for title in _WAY]


def _together(outcomes: Sequence[Outcome]) -> list[str]:
    areas = np.mean([[each.auc5, each.auc30] for each in outcomes], axis=0)
    counts = [(each.right, each.named, each.wrong_unnamed) for each in outcomes]
    return ["/".join(f"{area:.1f}" for area in areas), *map(str, np.sum(counts, axis=0))]


def _ratio(found: Sequence[Outcomes]) -> str:
    """Return the cost of all rescued runs, of the same runs without."""
    both = [each.cpu_seconds for each in found if each.cpu_seconds is not None]
    if not both:
        return _NONE
    plain, rescued = np.sum(both, axis=0)
    return f"{rescued / plain:.2f}"
