"""Rows put together: pooled, by group, and averaged over groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vggt_sfm.benchmarks.bench.rows import Row
from vggt_sfm.benchmarks.datasets.bags import Bag, Rules
from vggt_sfm.benchmarks.scores import Errors, Scores, interval, mean_scores, pool, scores_of

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Bags of one mode together."""

    kind: str
    """all, a kind of group (its value is given), or "mean over" one."""
    value: str = ""
    mode: str
    bags: int
    failed: int
    """Of these, bags that gave nothing; their pairs, with ground truth, count as failed."""
    images: int
    registered: int
    pairs: int
    """With ground truth."""
    scores: Scores | None
    intervals: dict[str, list[float]]
    """95 % of the area of the rules by threshold; none where bags are too few."""
    seconds: float | None
    """Median over bags."""
    peak_memory_mb: float | None
    """Largest."""


def summaries(rows: Sequence[Row], bags: Sequence[Bag], rules: Rules) -> list[Summary]:
    """Summarize all rows of these bags: together, by each kind of group, and averaged over it."""
    listed = {bag.name for bag in bags}
    mine = [row for row in rows if row.scene in listed]
    found = []
    for mode in dict.fromkeys(row.mode for row in mine):
        here = [row for row in mine if row.mode == mode]
        found.append(_summary(ALL, "", [here], rules))
        for kind in dict.fromkeys(kind for bag in bags for kind, _ in bag.groups):
            by_value = grouped(here, bags, kind)
            found += [_summary(kind, value, [group], rules) for value, group in by_value.items()]
            found.append(_summary(f"mean over {kind}", "", list(by_value.values()), rules))
    return found


def grouped(rows: Sequence[Row], bags: Sequence[Bag], kind: str | None) -> dict[str, list[Row]]:
    """Sort rows by the value that their bag has of a kind of group; None: all together."""
    groups_of = {bag.name: dict(bag.groups) for bag in bags}
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(groups_of[row.scene][kind] if kind else "", []).append(row)
    return found


def headline(found: Sequence[Summary], rules: Rules) -> list[Summary]:
    """Return what the figure of the benchmark is, a summary a mode."""
    kind = ALL if rules.averaged_over is None else f"mean over {rules.averaged_over}"
    return [summary for summary in found if summary.kind == kind]


def headline_scores(rows: Sequence[Row], bags: Sequence[Bag], rules: Rules) -> Scores | None:
    """Score rows of one mode as the rules pool and average; None without ground truth."""
    return _scores(known_errors(grouped(rows, bags, rules.averaged_over).values()))


def known_errors(groups: Iterable[Sequence[Row]]) -> list[list[Errors]]:
    """Return the errors of the rows of each group that has some with ground truth."""
    known = [[e for row in group if (e := row.errors) is not None] for group in groups]
    return [group for group in known if group]


def _scores(known: Sequence[Sequence[Errors]]) -> Scores | None:
    return mean_scores([scores_of(pool(group)) for group in known]) if known else None


def _summary(kind: str, value: str, groups: Sequence[Sequence[Row]], rules: Rules) -> Summary:
    rows = [row for group in groups for row in group]
    known = known_errors(groups)
    seconds = [row.seconds for row in rows if row.seconds is not None]
    peaks = [row.peak_memory_mb for row in rows if row.peak_memory_mb is not None]
    intervals = {}
    for t in rules.thresholds:
        ends = interval(known, rules.area, t)
        if ends is not None:
            intervals[str(t)] = list(ends)
    return Summary(
        kind=kind,
        value=value,
        mode=rows[0].mode,
        bags=len(rows),
        failed=sum(row.status == "failed" for row in rows),
        images=sum(row.images for row in rows),
        registered=sum(row.registered for row in rows),
        pairs=sum(len(e.rotation) for group in known for e in group),
        scores=_scores(known),
        intervals=intervals,
        seconds=float(np.median(seconds)) if seconds else None,
        peak_memory_mb=max(peaks, default=None),
    )
