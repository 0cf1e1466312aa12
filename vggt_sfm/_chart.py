"""A small line chart as SVG, readable on light and on dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 20, 100
_LEGEND_COLUMNS, _LEGEND_LINE = 2, 20
# Two hues that people with any colour vision tell apart, on white and on near-black.
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.axis { stroke: #1f2328; fill: none } .grid { stroke: #d0d7de; fill: none }
.line { fill: none; stroke-width: 2 }
.first { stroke: #0969da } .second { stroke: #bc4c00 }
.first.dot { fill: #0969da } .second.dot { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
 text { fill: #e6edf3 } .axis { stroke: #e6edf3 } .grid { stroke: #3d444d }
 .first { stroke: #4493f8 } .second { stroke: #f0883e }
 .first.dot { fill: #4493f8 } .second.dot { fill: #f0883e }
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a chart."""

    name: str
    points: Sequence[tuple[float, float]]
    """x ascending; y within the axis."""
    color: Literal["first", "second"]
    dashed: bool = False


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    description: str,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
) -> str:
    """Return the SVG text of a chart whose axes run from the first tick to the last.

    Args:
        series: Lines, drawn in this order.
        title: Short text alternative.
        description: What the chart shows, in words and with its figures.
        x_label: With unit.
        y_label: With unit.
        x_ticks: Ascending.
        y_ticks: Ascending.
    """
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT

    def x(value: float) -> float:
        span = x_ticks[-1] - x_ticks[0]
        return round(_LEFT + (value - x_ticks[0]) / span * (right - _LEFT), 1)

    def y(value: float) -> float:
        span = y_ticks[-1] - y_ticks[0]
        return round(bottom - (value - y_ticks[0]) / span * (bottom - _TOP), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(description)}</desc>',
        f"<style>{_STYLE}</style>",
    ]
    for tick in y_ticks:
        parts.append(f'<path class="grid" d="M{_LEFT} {y(tick)}H{right}"/>')
        parts.append(_text(_LEFT - 8, y(tick) + 4, f"{tick:g}", "end"))
    for tick in x_ticks:
        parts.append(f'<path class="axis" d="M{x(tick)} {bottom}v5"/>')
        parts.append(_text(x(tick), bottom + 20, f"{tick:g}", "middle"))
    parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>')
    parts.append(_text((_LEFT + right) / 2, bottom + 40, x_label, "middle"))
    middle = (_TOP + bottom) / 2
    parts.append(_text(16, middle, y_label, "middle", f' transform="rotate(-90 16 {middle})"'))
    for each in series:
        path = "L".join(f"{x(a)} {y(b)}" for a, b in each.points)
        parts.append(f'<path class="line {each.color}"{_dash(each)} d="M{path}"/>')
        parts += [
            f'<circle class="dot {each.color}" cx="{x(a)}" cy="{y(b)}" r="2.5"/>'
            for a, b in each.points
        ]
    parts += _legend(series)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(series: Sequence[Series]) -> list[str]:
    lines = -(-len(series) // _LEGEND_COLUMNS)
    parts = []
    for number, each in enumerate(series):
        column, line = divmod(number, lines)
        left = _LEFT + column * (_WIDTH - _LEFT - _RIGHT) // _LEGEND_COLUMNS
        y = _HEIGHT - 14 - (lines - 1 - line) * _LEGEND_LINE
        parts.append(f'<path class="line {each.color}"{_dash(each)} d="M{left} {y - 4}h24"/>')
        parts.append(_text(left + 30, y, each.name, "start"))
    return parts


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _dash(series: Series) -> str:
    return ' stroke-dasharray="6 4"' if series.dashed else ""
