"""Power laws through what was measured, a prediction for ten times the compute, and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vggt_sfm._chart import Panel, Series, line_chart
from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks import markdown
from vggt_sfm.training.curves import round_ticks

if TYPE_CHECKING:
    from vggt_sfm.benchmarks.scaling import Point

_UNIT = 1e12  # TFLOP
_LEAST_SHARE = 0.25  # of the longest run; before, the loss falls off a cliff that is no power law
_TEN_TIMES = 10.0
_LEAST_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """``scale · C^-exponent``, C in TFLOP."""

    scale: float
    exponent: float

    def at(self, tflop: Float64 | float) -> Float64:
        """Return its value."""
        return np.asarray(self.scale * np.asarray(tflop) ** -self.exponent)


def fit(tflop: Float64, value: Float64) -> PowerLaw:
    """Fit a power law to (n,) values, n >= 2: a line in logarithms."""
    slope, offset = np.polyfit(np.log(tflop), np.log(value), 1)
    return PowerLaw(scale=float(np.exp(offset)), exponent=float(-slope))


def _laws(
    points: Sequence[Point], tflop: Float64, value: Float64
) -> dict[str, tuple[PowerLaw, float, float]]:
    """For each size its law, the least compute it was fitted to and ten times the most."""
    laws = {}
    for size in dict.fromkeys(p.size for p in points):
        longest = max(p.steps for p in points if p.size == size)
        rows = [
            n for n, p in enumerate(points) if p.size == size and p.steps >= _LEAST_SHARE * longest
        ]
        if len(rows) >= _LEAST_RUNS:
            most = _TEN_TIMES * float(tflop[rows].max())
            laws[size] = fit(tflop[rows], value[rows]), float(tflop[rows].min()), most
    return laws


def report(points: Sequence[Point], output: Path) -> str:
    """Write two plots, and return a table with the laws and what they predict."""
    tflop = np.array([p.flops for p in points]) / _UNIT
    values = {
        "loss": np.array([p.loss for p in points]),
        "pose": 100 - np.array([p.auc_30 for p in points]),
    }
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
        laws = _laws(points, tflop, value)
        if not laws:
            lines.append(f"{names[key]}: too few runs to fit")
            continue
        told = [
            f"{size}: {law.scale:.3g} C^-{law.exponent:.3g}, at {ahead:.0f} TFLOP "
            f"{float(law.at(ahead)):.3g}"
            for size, (law, _, ahead) in laws.items()
        ]
        lines.append(
            f"{names[key]}, C in TFLOP, with a prediction for ten times the longest run:\n\n"
            + "\n".join(f"- {line}" for line in told)
        )
        chart = _chart(points, tflop, value, laws, names[key], "; ".join(told))
        (output / f"scaling-{key}.svg").write_text(chart, encoding="utf-8")
    return "\n\n".join(lines)


def _chart(
    points: Sequence[Point],
    tflop: Float64,
    value: Float64,
    laws: dict[str, tuple[PowerLaw, float, float]],
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
    size, (law, least, most) = list(laws.items())[-1]
    places = np.linspace(np.log10(least), np.log10(most), 12)
    curve = [(float(x), float(law.at(10**x))) for x in places]
    fitted = Series(name=f"{size}, fitted", points=curve, color="second", dashed=True)
    panel = Panel(
        series=[*series, fitted],
        x_label="training compute, log10 of TFLOP",
        y_label=name,
        x_ticks=round_ticks(float(log.min()), float(np.log10(most))),
        y_ticks=round_ticks(
            min(float(value.min()), curve[-1][1]), max(float(value.max()), curve[0][1])
        ),
    )
    return line_chart(panel, title=f"{name} over training compute", description=description)
