"""Small line charts as SVG, readable on light and on dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 20, 100
_LEGEND_COLUMNS, _LEGEND_LINE = 2, 20
_PANEL_WIDTH, _PANEL_HEIGHT, _PANEL_BOTTOM = 320, 220, 56
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

Color = Literal["first", "second"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a chart."""

    name: str
    points: Sequence[tuple[float, float]]
    """x ascending; y within the axis."""
    color: Color
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes, which run from their first tick to their last, and its lines."""

    series: Sequence[Series]
    """Drawn in this order."""
    x_label: str
    """With unit."""
    y_label: str
    """With unit."""
    x_ticks: Sequence[float]
    """Ascending."""
    y_ticks: Sequence[float]
    """Ascending."""


class _Box(NamedTuple):
    """Where the axes of a panel are, px."""

    left: float
    top: float
    right: float
    bottom: float


def line_chart(panel: Panel, *, title: str, description: str) -> str:
    """Return the SVG text of one panel.

    Args:
        panel: The axes and lines.
        title: Short text alternative.
        description: What the chart shows, in words and with its figures.
    """
    box = _Box(_LEFT, _TOP, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM)
    parts = [*_head(_WIDTH, _HEIGHT, title, description), *_axes(panel, box)]
    parts += [*_lines(panel, box), *_legend(panel.series, _WIDTH, _HEIGHT)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def small_multiples(panels: Sequence[Panel], *, columns: int, title: str, description: str) -> str:
    """Return the SVG text of panels row by row, with one legend, that of the first panel.

    Args:
        panels: The axes and lines.
        columns: Panels side by side.
        title: Short text alternative.
        description: What the chart shows, in words and with its figures.
    """
    rows = -(-len(panels) // columns)
    width = columns * _PANEL_WIDTH
    height = rows * _PANEL_HEIGHT + _LEGEND_LINE * 2
    parts = _head(width, height, title, description)
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        left, top = column * _PANEL_WIDTH, row * _PANEL_HEIGHT
        right, bottom = left + _PANEL_WIDTH - _RIGHT, top + _PANEL_HEIGHT - _PANEL_BOTTOM
        box = _Box(left + _LEFT, top + _TOP, right, bottom)
        parts += [*_axes(panel, box), *_lines(panel, box)]
    parts += _legend(panels[0].series, width, height)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _head(width: int, height: int, title: str, description: str) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(description)}</desc>',
        f"<style>{_STYLE}</style>",
    ]


def _x(panel: Panel, box: _Box, value: float) -> float:
    span = panel.x_ticks[-1] - panel.x_ticks[0]
    return round(box.left + (value - panel.x_ticks[0]) / span * (box.right - box.left), 1)


def _y(panel: Panel, box: _Box, value: float) -> float:
    span = panel.y_ticks[-1] - panel.y_ticks[0]
    return round(box.bottom - (value - panel.y_ticks[0]) / span * (box.bottom - box.top), 1)


def _axes(panel: Panel, box: _Box) -> list[str]:
    parts = []
    for tick in panel.y_ticks:
        y = _y(panel, box, tick)
        parts.append(f'<path class="grid" d="M{box.left} {y}H{box.right}"/>')
        parts.append(_text(box.left - 8, y + 4, f"{tick:g}", "end"))
    for tick in panel.x_ticks:
        x = _x(panel, box, tick)
        parts.append(f'<path class="axis" d="M{x} {box.bottom}v5"/>')
        parts.append(_text(x, box.bottom + 20, f"{tick:g}", "middle"))
    parts.append(f'<path class="axis" d="M{box.left} {box.top}V{box.bottom}H{box.right}"/>')
    center = (box.left + box.right) / 2
    parts.append(_text(center, box.bottom + 40, panel.x_label, "middle"))
    middle, aside = (box.top + box.bottom) / 2, box.left - _LEFT + 16
    turn = f' transform="rotate(-90 {aside:g} {middle:g})"'
    return [*parts, _text(aside, middle, panel.y_label, "middle", turn)]


def _lines(panel: Panel, box: _Box) -> list[str]:
    parts = []
    for each in panel.series:
        places = [(_x(panel, box, a), _y(panel, box, b)) for a, b in each.points]
        path = "L".join(f"{x} {y}" for x, y in places)
        parts.append(f'<path class="line {each.color}"{_dash(each)} d="M{path}"/>')
        parts += [
            f'<circle class="dot {each.color}" cx="{x}" cy="{y}" r="2.5"/>' for x, y in places
        ]
    return parts


def _legend(series: Sequence[Series], width: int, height: int) -> list[str]:
    lines = -(-len(series) // _LEGEND_COLUMNS)
    parts = []
    for number, each in enumerate(series):
        column, line = divmod(number, lines)
        left = _LEFT + column * (width - _LEFT - _RIGHT) // _LEGEND_COLUMNS
        y = height - 14 - (lines - 1 - line) * _LEGEND_LINE
        parts.append(f'<path class="line {each.color}"{_dash(each)} d="M{left} {y - 4}h24"/>')
        parts.append(_text(left + 30, y, each.name, "start"))
    return parts


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _dash(series: Series) -> str:
    return ' stroke-dasharray="6 4"' if series.dashed else ""
