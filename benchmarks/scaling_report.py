"""Power laws through what was measured, a prediction for ten times the compute, and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import curve_fit

from vggt_sfm._chart import Panel, Series, line_chart
from vggt_sfm._checks import Float64, Int64
from vggt_sfm.benchmarks import markdown
from vggt_sfm.training.curves import round_ticks

if TYPE_CHECKING:
    from vggt_sfm.benchmarks.scaling import Point

_UNIT = 1e15  # PFLOP
_TEN_TIMES = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """``floor + scale · C^-exponent``, C in PFLOP."""

    floor: float
    scale: float
    exponent: float

    def at(self, pflop: Float64 | float) -> Float64:
        """Return its value."""
        return np.asarray(self.floor + self.scale * np.asarray(pflop) ** -self.exponent)


def best_so_far(pflop: Float64, value: Float64) -> Int64:
    """Rows whose value is below all that took no more compute, by ascending compute."""
    order = np.argsort(pflop, kind="stable")
    lowest = np.minimum.accumulate(value[order])
    first = np.concatenate([[True], lowest[1:] < lowest[:-1]])
    return np.asarray(order[first], np.int64)


def fit(pflop: Float64, value: Float64) -> PowerLaw:
    """Fit a power law with a floor of at least zero to (n,) values, n >= 3.

    With fewer than four values the floor is zero: it could not be told from the exponent.
    """
    scale = float(value.max())
    if len(value) < 4:
        slope, offset = np.polyfit(np.log(pflop), np.log(value), 1)
        return PowerLaw(floor=0.0, scale=float(np.exp(offset)), exponent=float(-slope))
    (floor, amplitude, exponent), _ = curve_fit(
        lambda c, f, s, e: f + s * c**-e,
        pflop,
        value,
        p0=(0.5 * float(value.min()), scale, 0.2),
        bounds=((0.0, 0.0, 0.01), (float(value.min()), 100 * scale, 2.0)),
    )
    return PowerLaw(floor=float(floor), scale=float(amplitude), exponent=float(exponent))


def report(points: Sequence[Point], output: Path) -> str:
    """Write two plots, and return a table with the laws and what they predict."""
    pflop = np.array([p.flops for p in points]) / _UNIT
    values = {
        "loss": np.array([p.loss for p in points]),
        "pose": 100 - np.array([p.auc_30 for p in points]),
    }
    names = {"loss": "held-out loss", "pose": "100 - AUC@30 of photographs"}
    lines = [
        markdown.table(
            ["size", "parameters", "steps", "PFLOP", "held-out loss", "AUC@30"],
            [
                [
                    p.size,
                    f"{p.parameters / 1e6:.2f} M",
                    str(p.steps),
                    f"{p.flops / _UNIT:.2f}",
                    f"{p.loss:.3f}",
                    f"{p.auc_30:.1f}",
                ]
                for p in points
            ],
        )
    ]
    for key, value in values.items():
        if not np.isfinite(value).all():
            lines.append(f"{names[key]}: not measured, the photographs are missing")
            continue
        rows = best_so_far(pflop, value)
        if len(rows) < 3:
            lines.append(f"{names[key]}: too few improvements to fit")
            continue
        law = fit(pflop[rows], value[rows])
        ahead = _TEN_TIMES * float(pflop.max())
        predicted = float(law.at(ahead))
        lines.append(
            f"{names[key]}: {law.floor:.3g} + {law.scale:.3g} C^-{law.exponent:.3g}, C in PFLOP; "
            f"best here {value.min():.3g}, predicted at {ahead:.0f} PFLOP {predicted:.3g}"
        )
        chart = _chart(points, pflop, value, law, names[key], lines[-1])
        (output / f"scaling-{key}.svg").write_text(chart, encoding="utf-8")
    return "\n\n".join(lines)


def _chart(
    points: Sequence[Point],
    pflop: Float64,
    value: Float64,
    law: PowerLaw,
    name: str,
    description: str,
) -> str:
    log = np.log10(pflop)
    series = []
    for number, size in enumerate(dict.fromkeys(p.size for p in points)):
        rows = [n for n, p in enumerate(points) if p.size == size]
        line = [(float(log[n]), float(value[n])) for n in rows]
        # two colours, and one of them broken, tell three sizes apart
        series.append(
            Series(
                name=size,
                points=line,
                color="first" if number < 2 else "second",
                dashed=number == 1,
            )
        )
    ahead = np.linspace(log.min(), log.max() + 1, 30)
    curve = [(float(x), float(law.at(10**x))) for x in ahead]
    series.append(Series(name="fit, to ten times", points=curve, color="second", dashed=True))
    panel = Panel(
        series=series,
        x_label="training compute, log10 of PFLOP",
        y_label=name,
        x_ticks=round_ticks(float(log.min()), float(log.max()) + 1),
        y_ticks=round_ticks(
            min(float(value.min()), curve[-1][1]), max(float(value.max()), curve[0][1])
        ),
    )
    return line_chart(panel, title=f"{name} over training compute", description=description)
