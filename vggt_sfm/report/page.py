"""The report as one HTML file that asks for nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from vggt_sfm._files import replacing
from vggt_sfm.errors import install_line
from vggt_sfm.io.plain import to_plain
from vggt_sfm.report import charts
from vggt_sfm.report.facts import ImageFacts, Report
from vggt_sfm.report.pictures import RESIDUAL_SCALE, Picture

REPORT_FILE = "report.html"
DATA_FILE = "report.json"
MOST_BYTES = 15 * 10**6
NO_SCENE = f"The 3D scene is not here: it needs one more package, {install_line('viewer')}."

_STATUS_ORDER = ("rejected", "predicted only", "registered", "refined")


def worst_first(images: Sequence[ImageFacts]) -> list[int]:
    """Order photographs by how much they need to be looked at, as row numbers."""
    return sorted(
        range(len(images)),
        key=lambda s: (
            _STATUS_ORDER.index(images[s].status) if images[s].status in _STATUS_ORDER else 0,
            -(images[s].median_error_px or 0.0),
            s,
        ),
    )


def render(
    report: Report, pictures: Mapping[int, Picture], scene: str | None, why_no_scene: str = NO_SCENE
) -> str:
    """Write the page.

    Args:
        report: What it says.
        pictures: Pictures of photographs, by row of ``report.images``.
        scene: A page with the 3D scene, to be shown in a frame.
        why_no_scene: What stands there without one.

    Returns:
        HTML. Pictures, and then the scene, are left out where it would be too large.
    """
    page = _render(report, pictures, scene, why_no_scene)
    if len(page.encode()) > MOST_BYTES:
        page = _render(report, {}, scene, why_no_scene)
    if len(page.encode()) > MOST_BYTES:
        page = _render(report, {}, None, "The 3D scene is too large for this page.")
    return page


def write_page(folder: Path, report: Report, html: str) -> None:
    """Write ``report.html`` and ``report.json``; neither is ever seen half-written.

    Raises:
        OSError: If they cannot be written.
    """
    for name, text in ((DATA_FILE, json.dumps(to_plain(report), indent=1) + "\n"),
                       (REPORT_FILE, html)):  # fmt: skip
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def remove_page(folder: Path) -> None:
    """Remove what ``write_page`` wrote, if it is there."""
    for name in (DATA_FILE, REPORT_FILE):
        (folder / name).unlink(missing_ok=True)


def _render(
    report: Report, pictures: Mapping[int, Picture], scene: str | None, why_no_scene: str
) -> str:
    shared = np.array(report.shared_points, np.int64)
    bundle = report.run.bundle
    drawn = {
        "lengths": charts.histogram(
            report.track_lengths,
            title="Track lengths",
            x_label="photographs that see a point",
            integers=True,
        )
        if report.track_lengths
        else "",
        "errors": charts.histogram(
            report.errors_px, title="Reprojection errors", x_label="reprojection error, px"
        )
        if report.errors_px
        else "",
        "costs": charts.cost_curve(bundle.rounds) if bundle and bundle.rounds else "",
        "focals": charts.focal_spread(report.images),
        "matrix": charts.matrix(shared) if len(shared) > 1 else "",
    }
    return _template().render(
        report=report,
        rows=worst_first(report.images),
        pictures=pictures,
        charts={name: Markup(svg) for name, svg in drawn.items()},
        scene=scene,
        why_no_scene=why_no_scene,
        residual_scale=RESIDUAL_SCALE,
        data=_data(report),
    )


def _data(report: Report) -> Markup:
    """Return the JSON of the report so that no text in it can end its element."""
    text = json.dumps(to_plain(report), separators=(",", ":"))
    safe = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return Markup(safe)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["figure"] = _figure
    text = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)


def _figure(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Write a number for people; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.{digits}f}{unit}" if abs(value) < 1e6 else f"{value:.{digits}e}{unit}"
