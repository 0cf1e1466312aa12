"""A run beside one that was kept: is it worse?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vggt_sfm.benchmarks.bench.modes import OURS
from vggt_sfm.benchmarks.bench.page import Table
from vggt_sfm.benchmarks.bench.plan import MANIFEST, RESULTS
from vggt_sfm.benchmarks.bench.rows import Row, read_rows
from vggt_sfm.benchmarks.bench.summary import headline_scores
from vggt_sfm.benchmarks.datasets.bags import Bag, Dataset, Rules
from vggt_sfm.benchmarks.datasets.manifest import read_manifest
from vggt_sfm.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A figure of two runs on the bags that both have."""

    mode: str
    threshold_deg: int
    bags: int
    before: float
    now: float


def changes(dataset: Dataset, bags: Sequence[Bag], rows: Sequence[Row], kept: Path) -> list[Change]:
    """Compare with a kept run, mode by mode, on bags that hold the same photographs.

    Raises:
        InputError: If the folder holds no run of this data set, or none of the same bags and modes.
    """
    rules = dataset.rules
    before_of = {bag.name: bag for bag in read_manifest(kept / MANIFEST, dataset.name).bags}
    same = {bag.name for bag in bags if before_of.get(bag.name) == bag}
    old = {(row.scene, row.mode): row for row in read_rows(kept / RESULTS)}
    both = [row for row in rows if row.scene in same and (row.scene, row.mode) in old]
    both = [row for row in both if row.errors is not None]
    found = []
    for mode in dict.fromkeys(row.mode for row in both):
        mine = [row for row in both if row.mode == mode]
        theirs = [old[row.scene, mode] for row in mine]
        now, before = _areas(mine, bags, rules), _areas(theirs, bags, rules)
        found += [
            Change(mode=mode, threshold_deg=t, bags=len(mine), before=before[t], now=now[t])
            for t in rules.thresholds
        ]
    if not found:
        raise InputError(f"{kept}: no bag with ground truth was measured both there and here")
    return found


def _areas(rows: Sequence[Row], bags: Sequence[Bag], rules: Rules) -> dict[int, float]:
    found: dict[str, float] = getattr(headline_scores(rows, bags, rules), rules.area)
    return {t: found[str(t)] for t in rules.thresholds}


def table_of(found: Sequence[Change]) -> Table:
    """Show changes."""
    titles = ["cameras", "AUC at °", "bags in both", "kept run", "now", "change"]
    return Table(
        titles,
        [
            [
                change.mode,
                str(change.threshold_deg),
                str(change.bags),
                f"{change.before:.2f}",
                f"{change.now:.2f}",
                f"{change.now - change.before:+.2f}",
            ]
            for change in found
        ],
    )


def losses(found: Sequence[Change], most_points: float) -> list[str]:
    """Name the figures of our own modes that fell by more than so many points."""
    return [
        f"{change.mode} @{change.threshold_deg} fell from {change.before:.2f} to {change.now:.2f}"
        for change in found
        if change.mode in OURS and change.before - change.now > most_points
    ]
