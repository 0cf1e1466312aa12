"""Small drawings for the report: SVG that takes its colours from the page, and one bitmap."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from vggt_sfm._checks import Int64
from vggt_sfm.ba.report import RoundReport
from vggt_sfm.report.facts import Histogram, ImageFacts

_WIDTH, _HEIGHT = 420, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 40
# Of the matrix's colour, the blue that stands out on white and on near-black.
_BLUE = (47, 129, 247)
_CELL_PX = 4


def histogram(values: Histogram, *, title: str, x_label: str, integers: bool = False) -> str:
    """Draw counts as bars.

    Args:
        values: What to draw.
        title: Text alternative; the figures are added to it.
        x_label: With unit.
        integers: Whether each bin is one whole number.
    """
    top = max(values.counts, default=0) or 1
    width = (_WIDTH - _LEFT - _RIGHT) / max(len(values.counts), 1)
    parts, words = [], []
    last = len(values.counts) - 1
    for k, count in enumerate(values.counts):
        height = (_HEIGHT - _TOP - _BOTTOM) * count / top
        x, y = _LEFT + k * width, _HEIGHT - _BOTTOM - height
        low, high = values.edges[k], values.edges[k + 1]
        name = f"{low:g}{'+' if k == last else ''}" if integers else f"{low:.2f}–{high:.2f}"
        parts.append(
            f'<rect class="bar" x="{x + 0.5:.1f}" y="{y:.1f}" width="{width - 1:.1f}" '
            f'height="{height:.1f}"><title>{name}: {count}</title></rect>'
        )
        words.append(f"{name}: {count}")
        if integers or k % 6 == 0:
            label = name if integers else f"{low:.2g}"
            at = x + width / 2 if integers else x
            parts.append(_text(at, _HEIGHT - _BOTTOM + 16, label, "middle"))
    axis = [f"M{_LEFT} {_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"]
    parts += [f'<path class="axis" d="{axis[0]}"/>', *_y_labels([(0, "0"), (1, f"{top}")])]
    parts.append(_text(_WIDTH / 2, _HEIGHT - 6, x_label, "middle"))
    return _svg(parts, f"{title}. {', '.join(words)}")


def cost_curve(rounds: Sequence[RoundReport]) -> str:
    """Draw the cost of the solver after each iteration, one line a round, on a log scale."""
    costs = [round_.costs or (round_.initial_cost, round_.final_cost) for round_ in rounds]
    positive = [cost for line in costs for cost in line if cost > 0] or [1.0]
    low, high = np.log10(min(positive)), np.log10(max(positive))
    low, high = (low, high) if high - low > 0.05 else (low - 0.1, high + 0.1)
    steps = max(sum(len(line) for line in costs) - 1, 1)
    inner = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    parts, words, begin = [], [], 0
    for round_, line in zip(rounds, costs, strict=True):
        places = [
            (
                _LEFT + inner[0] * (begin + k) / steps,
                _TOP + inner[1] * (high - np.log10(max(cost, 10.0**low))) / (high - low),
            )
            for k, cost in enumerate(line)
        ]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        words.append(f"{round_.name}: {line[0]:.4g} to {line[-1]:.4g} in {len(line) - 1} steps")
        parts.append(f'<path class="line" d="M{path}"><title>{escape(words[-1])}</title></path>')
        x, y = places[-1]
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>')
        begin += len(line)
    frame = f"M{_LEFT} {_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"
    parts += [f'<path class="axis" d="{frame}"/>']
    parts += _y_labels([(0, f"{10**low:.2g}"), (1, f"{10**high:.2g}")])
    parts.append(_text(_WIDTH / 2, _HEIGHT - 6, "solver iterations, round by round", "middle"))
    return _svg(parts, f"Cost of the adjustment. {'; '.join(words)}")


def focal_spread(images: Sequence[ImageFacts]) -> str:
    """Draw each photograph's focal length as predicted and as it is in the model."""
    values = [v for i in images for v in (i.focal_px, i.predicted_focal_px) if v]
    if not values:
        return ""
    low, high = min(values), max(values)
    margin = max((high - low) * 0.1, 0.01 * high)
    low, high = low - margin, high + margin
    inner = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    parts = []
    for s, image in enumerate(images):
        x = _LEFT + inner[0] * (s + 0.5) / len(images)
        for value, kind in ((image.predicted_focal_px, "ring"), (image.focal_px, "dot")):
            if value:
                y = _TOP + inner[1] * (high - value) / (high - low)
                name = escape(f"{image.name}: {value:.1f} px")
                parts.append(
                    f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.5">'
                    f"<title>{name}</title></circle>"
                )
    frame = f"M{_LEFT} {_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"
    parts.append(f'<path class="axis" d="{frame}"/>')
    parts += _y_labels([(0, f"{low:.0f}"), (1, f"{high:.0f}")])
    parts.append(_text(_WIDTH / 2, _HEIGHT - 6, "photographs in order; focal length, px", "middle"))
    final = [image.focal_px for image in images if image.focal_px]
    said = f"{min(final):.1f} to {max(final):.1f} px" if final else "none"
    predicted = [image.predicted_focal_px for image in images if image.predicted_focal_px]
    told = f"{min(predicted):.1f} to {max(predicted):.1f} px" if predicted else "unknown"
    return _svg(parts, f"Focal lengths: in the model {said}, predicted for each photograph {told}")


def matrix(shared: Int64) -> str:
    """Paint the points that pairs of photographs share as a PNG in a data URL.

    More points are less transparent, on a log scale, so that it shows on any background.
    """
    strength = np.log1p(shared.astype(np.float64))
    np.fill_diagonal(strength, 0)
    alpha = strength / (strength.max() or 1.0)
    pixels = np.zeros((*shared.shape, 4), np.uint8)
    pixels[..., :3] = _BLUE
    pixels[..., 3] = np.round(255 * alpha)
    larger = np.kron(pixels, np.ones((_CELL_PX, _CELL_PX, 1), np.uint8))
    return data_url(Image.fromarray(larger), "png")


def data_url(image: Image.Image, kind: str, quality: int = 70) -> str:
    """Return an image as a URL that holds it."""
    stream = io.BytesIO()
    if kind == "jpeg":
        image.save(stream, "jpeg", quality=quality)
    else:
        image.save(stream, "png", optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _y_labels(places: Sequence[tuple[float, str]]) -> list[str]:
    """Write labels at heights from 0, the axis, to 1, the top."""
    inner = _HEIGHT - _TOP - _BOTTOM
    return [
        _text(_LEFT - 6, _HEIGHT - _BOTTOM - inner * height + 4, label, "end")
        for height, label in places
    ]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str], description: str) -> str:
    label = escape(description, {'"': "&quot;"})
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )
