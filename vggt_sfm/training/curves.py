"""What a run reports: one line of JSON now and then, and its curves as SVG."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vggt_sfm._chart import Panel, Series, line_chart
from vggt_sfm._files import replacing

LOG_NAME = "log.jsonl"
CURVES = "curves"
_MOST_POINTS = 60
_TICKS = 5
_NOT_DRAWN = ("step", "cpu_seconds")

Row = dict[str, float]


class Log:
    """The log of a run; lines of steps that are done again are dropped.

    Args:
        folder: The run's folder; gets ``log.jsonl`` and ``curves/*.svg``.
        start: The first step to come.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        rows = [row for row in read_log(folder) if row["step"] < start]
        with replacing(folder / LOG_NAME) as temporary:
            temporary.write_text("".join(map(_line, rows)), encoding="utf-8")

    def add(self, row: Row) -> None:
        """Write a line."""
        with (self._folder / LOG_NAME).open("a", encoding="utf-8") as stream:
            stream.write(_line(row))

    def draw(self) -> None:
        """Draw the curve of every number in the log."""
        rows = read_log(self._folder)
        folder = self._folder / CURVES
        folder.mkdir(exist_ok=True)
        for name in sorted({name for row in rows for name in row} - set(_NOT_DRAWN)):
            known = [row for row in rows if math.isfinite(row.get(name, math.nan))]
            points = [(row["step"], row[name]) for row in known]
            if points:
                chart = curve(name, points)
                (folder / f"{name}.svg").write_text(chart, encoding="utf-8")


def read_log(folder: Path) -> list[Row]:
    """Return the lines of a run's log, without one that was cut off; none if there is no log.

    What was not finite is NaN.
    """
    try:
        lines = (folder / LOG_NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            row: dict[str, float | None] = json.loads(line)
        except ValueError:  # a killed run's last line
            continue
        rows.append({name: math.nan if v is None else v for name, v in row.items()})
    return rows


def curve(name: str, points: Sequence[tuple[float, float]]) -> str:
    """Return the SVG text of one number over the steps, averaged over stretches of the run."""
    groups = np.array_split(np.asarray(points, np.float64), min(len(points), _MOST_POINTS))
    means = [tuple(group.mean(axis=0)) for group in groups]
    xs, ys = zip(*means, strict=True)
    panel = Panel(
        series=[Series(name=name, points=means, color="first")],
        x_label="step",
        y_label=name,
        x_ticks=round_ticks(min(xs), max(xs)),
        y_ticks=round_ticks(min(ys), max(ys)),
    )
    return line_chart(
        panel,
        title=f"{name} over training steps",
        description=f"{name} goes from {ys[0]:.4g} to {ys[-1]:.4g} in {points[-1][0]:.0f} steps.",
    )


def round_ticks(low: float, high: float) -> list[float]:
    """Return a handful of round numbers, the first and last of which enclose a range.

    >>> round_ticks(0.3, 1.9)
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    span = high - low or abs(high) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(s for s in (magnitude * m for m in (1, 2, 5, 10)) if span / s <= _TICKS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(n * step, 12) for n in range(first, max(last, first + 1) + 1)]


def _line(row: Row) -> str:
    """Write a row; JSON has no word for what is not finite but null."""
    return json.dumps({k: v if math.isfinite(v) else None for k, v in row.items()}) + "\n"
