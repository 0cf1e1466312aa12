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

_UNIT = 1e12  # TFLOP
_LEAST_SHARE = 0.25  # of the longest run; before, the loss falls off a cliff that is no power law
_TEN_TIMES = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """``floor + scale · C^-exponent``, C in TFLOP."""

    floor: float
    scale: float
    exponent: float

    def at(self, tflop: Float64 | float) -> Float64:
        """Return its value."""
        return np.asarray(self.floor + self.scale * np.asarray(tflop) ** -self.exponent)


def best_so_far(tflop: Float64, value: Float64) -> Int64:
    """Rows whose value is below all that took no more compute, by ascending compute."""
    order = np.argsort(tflop, kind="stable")
    lowest = np.minimum.accumulate(value[order])
    first = np.concatenate([[True], lowest[1:] < lowest[:-1]])
    return np.asarray(order[first], np.int64)


def fit(tflop: Float64, value: Float64) -> PowerLaw:
    """Fit a power law with a floor of at least zero to (n,) values, n >= 3.

    With fewer than four values the floor is zero: it could not be told from the exponent.
    """
    scale = float(value.max())
    if len(value) < 4:
        slope, offset = np.polyfit(np.log(tflop), np.log(value), 1)
        return PowerLaw(floor=0.0, scale=float(np.exp(offset)), exponent=float(-slope))
    (floor, amplitude, exponent), _ = curve_fit(
        lambda c, f, s, e: f + s * c**-e,
        tflop,
        value,
        p0=(0.5 * float(value.min()), scale, 0.2),
        bounds=((0.0, 0.0, 0.01), (float(value.min()), 100 * scale, 2.0)),
    )
    return PowerLaw(floor=float(floor), scale=float(amplitude), exponent=float(exponent))


def _range(tflop: Float64, value: Float64, ahead: float) -> tuple[float, float]:
    """The least and the most that laws through all but one of (n,) runs predict; n >= 3."""
    if len(tflop) < 4:
        return float("nan"), float("nan")
    kept = [np.arange(len(tflop)) != left_out for left_out in range(len(tflop))]
    found = [float(fit(tflop[rows], value[rows]).at(ahead)) for rows in kept]
    return min(found), max(found)


def report(points: Sequence[Point], output: Path) -> str:
    """Write two plots, and return a table with the laws and what they predict."""
    tflop = np.array([p.flops for p in points]) / _UNIT
    values = {
        "loss": np.array([p.loss for p in points]),
        "pose": 100 - np.array([p.auc_30 for p in points]),
    }
    steps = np.array([p.steps for p in points])
    long = np.flatnonzero(steps >= _LEAST_SHARE * steps.max())
    names = {"loss": "held-out loss", "pose": "100 - AUC@30 of photographs"}
    lines = [
        markdown.table(
            ["size", "parameters", "steps", "TFLOP", "held-out loss", "AUC@30"],
            [
                [
                    p.size,
                    f"{p.parameters / 1e6:.2f} M",
                    str(p.steps),
                    f"{p.flops / _UNIT:.0f}",
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
        rows = long[best_so_far(tflop[long], value[long])]
        if len(rows) < 3:
            lines.append(f"{names[key]}: too few improvements to fit")
            continue
        law, ahead = fit(tflop[rows], value[rows]), _TEN_TIMES * float(tflop.max())
        low, high = _range(tflop[rows], value[rows], ahead)
        lines.append(
            f"{names[key]}: {law.floor:.3g} + {law.scale:.3g} C^-{law.exponent:.3g}, C in TFLOP, "
            f"through {len(rows)} runs that no cheaper one equals; best here {value.min():.3g}, "
            f"predicted at {ahead:.0f} TFLOP {float(law.at(ahead)):.3g} "
            f"({low:.3g} to {high:.3g} where one run is left out)"
        )
        chart = _chart(points, tflop, value, law, names[key], lines[-1])
        (output / f"scaling-{key}.svg").write_text(chart, encoding="utf-8")
    return "\n\n".join(lines)


def _chart(
    points: Sequence[Point],
    tflop: Float64,
    value: Float64,
    law: PowerLaw,
    name: str,
    description: str,
) -> str:
    log = np.log10(tflop)
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
        x_label="training compute, log10 of TFLOP",
        y_label=name,
        x_ticks=round_ticks(float(log.min()), float(log.max()) + 1),
        y_ticks=round_ticks(
            min(float(value.min()), curve[-1][1]), max(float(value.max()), curve[0][1])
        ),
    )
    return line_chart(panel, title=f"{name} over training compute", description=description)
