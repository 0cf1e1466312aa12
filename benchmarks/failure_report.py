"""The failure map as tables, sentences and a drawing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vggt_sfm._chart import Panel, Series, small_multiples
from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.failure_axes import Axis, cases_of
from vggt_sfm.benchmarks.failure_run import Errors, Result
from vggt_sfm.metrics.pose import auc_exact

FEED_FORWARD, ADJUSTED = "feed-forward", "+BA"
_ANGLE = 30
_COLUMNS = 4
_AUC_TICKS, _DEPTH_TICKS = (0, 25, 50, 75, 100), (0, 25, 50, 75, 100)
_COLORS: dict[str, Literal["first", "second"]] = {FEED_FORWARD: "second", ADJUSTED: "first"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """All scenes of one value of an axis, one way of getting cameras."""

    value: float
    scenes: int
    auc: float
    """Exact AUC@30 of all pairs, percent."""
    depth_percent: float
    """Median of the scenes' mean relative errors; NaN if no depth is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One way of getting cameras along an axis."""

    way: str
    bins: list[Bin]


def curves(axis: Axis, results: Iterable[Result]) -> list[Curve]:
    """Pool results along an axis; adjusted ones only where every case has one."""
    by_case = {result.case: result for result in results}
    found = []
    for way in (FEED_FORWARD, ADJUSTED):
        bins = []
        for value, setup in zip(axis.values, axis.setups(), strict=True):
            mine = [by_case[case] for case in cases_of(setup) if case in by_case]
            errors = [e for r in mine if (e := errors_of(r, way)) is not None]
            if errors:
                bins.append(pooled(value, errors))
        if bins:
            found.append(Curve(way=way, bins=bins))
    return found


def errors_of(result: Result, way: str) -> Errors | None:
    """Return the errors of one way of getting cameras."""
    return result.feed_forward if way == FEED_FORWARD else result.adjusted


def pooled(value: float, errors: Sequence[Errors]) -> Bin:
    """Pool the errors of scenes."""
    depth = [e.depth_percent for e in errors if e.depth_percent is not None]
    return Bin(
        value=value,
        scenes=len(errors),
        auc=auc_exact(np.concatenate([e.pose_deg for e in errors]), _ANGLE),
        depth_percent=float(np.median(depth)) if depth else float("nan"),
    )


def breaking_points(bins: Sequence[Bin]) -> list[Bin]:
    """Return the first bin on each side of the best one whose AUC is below half of the best."""
    best = max(range(len(bins)), key=lambda n: bins[n].auc)
    sides = (bins[best + 1 :], bins[:best][::-1])
    half = bins[best].auc / 2
    first = [next((one for one in side if one.auc < half), None) for side in sides]
    return [one for one in first if one is not None]


def sentence(axis: Axis, found: Sequence[Curve]) -> str:
    """Say where an axis breaks what."""
    parts = [f"{curve.way} {_verdict(axis, curve.bins)}" for curve in found]
    return f"**{axis.name}**: AUC@{_ANGLE} of " + "; of ".join(parts) + "."


def _verdict(axis: Axis, bins: Sequence[Bin]) -> str:
    best, worst = (choose(bins, key=lambda b: b.auc) for choose in (max, min))
    broken = breaking_points(bins)
    told = f"is best at {_at(axis, best)} ({best.auc:.0f}) and "
    if not broken:
        return (
            told + f"never falls below half of that (least {worst.auc:.0f} at {_at(axis, worst)})"
        )
    where = " and at ".join(f"{_at(axis, b)} ({b.auc:.0f})" for b in broken)
    return told + f"falls below half of that at {where}"


def _at(axis: Axis, one: Bin) -> str:
    space = "" if axis.unit in ("°", "%", "") else " "
    return f"{one.value:g}{space}{axis.unit}"


def table(axis: Axis, found: Sequence[Curve]) -> str:
    """One row for each value of an axis."""
    ways = [curve.way for curve in found]
    titles = [axis.label, "scenes", *(f"AUC@{_ANGLE} {way}" for way in ways)]
    titles += [f"depth error % {way}" for way in ways]
    rows = []
    for bins in zip(*(curve.bins for curve in found), strict=True):
        aucs, depths = [f"{b.auc:.1f}" for b in bins], [f"{b.depth_percent:.1f}" for b in bins]
        rows.append([f"{bins[0].value:g}", str(bins[0].scenes), *aucs, *depths])
    return markdown.table(titles, rows)


def chart(found: dict[Axis, list[Curve]]) -> str:
    """Draw AUC and, below it, depth error over every axis."""
    axes = list(found)
    panels = []
    for first in range(0, len(axes), _COLUMNS):
        row = axes[first : first + _COLUMNS]
        panels += [_panel(axis, found[axis], "auc") for axis in row]
        panels += [_panel(axis, found[axis], "depth_percent") for axis in row]
    return small_multiples(
        panels,
        columns=min(_COLUMNS, len(axes)),
        title="Where the embedded model breaks",
        description=" ".join(sentence(axis, of).replace("**", "") for axis, of in found.items()),
    )


def _panel(axis: Axis, found: Sequence[Curve], what: Literal["auc", "depth_percent"]) -> Panel:
    ticks = _AUC_TICKS if what == "auc" else _DEPTH_TICKS
    series = []
    for curve in found:
        points = [(one.value, min(float(getattr(one, what)), ticks[-1])) for one in curve.bins]
        known = [(x, y) for x, y in points if np.isfinite(y)]
        series.append(Series(name=curve.way, points=known, color=_COLORS[curve.way]))
    label = f"AUC@{_ANGLE}, %" if what == "auc" else f"depth error, % (≤ {ticks[-1]})"
    return Panel(
        series=series,
        x_label=axis.label,
        y_label=label,
        x_ticks=axis.values if len(axis.values) > 1 else (0, *axis.values),
        y_ticks=ticks,
    )
