"""The page: complete, safe, self-contained, small."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from reported import image_facts, opened, run_facts

from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.report import RoundReport
from vggt_sfm.report import charts, page
from vggt_sfm.report.build import build_report
from vggt_sfm.report.facts import Histogram, Report
from vggt_sfm.report.page import render, worst_first, write_page
from vggt_sfm.report.pictures import Picture

NASTY = "</script><img src=x onerror=alert(1)> & “é” 1.jpg"


class Tags(HTMLParser):
    """Elements with their attributes, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def built() -> tuple[Report, dict[int, Picture]]:
    names = [replace(image, name=f"{s:03d}.png") for s, image in enumerate(image_facts(8))]
    return build_report("test", run_facts(), names, opened(), {}, SilentProgress())


def data_of(html: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    return json.loads(text)


def test_figures_of_the_page_are_those_of_the_data() -> None:
    report, pictures = built()
    html = render(report, pictures, None)
    data = data_of(html)
    assert data == json.loads(json.dumps(data_of(render(report, {}, None))))
    assert data["after"]["points"] == report.after.points
    assert f"<td>{report.after.points}</td>" in html
    assert f"{report.images[3].median_error_px:.2f} px" in html
    assert page.NO_SCENE.split("'")[0] in html  # without the viewer it says so


def test_everything_visible_has_a_text_and_nothing_comes_from_outside() -> None:
    report, pictures = built()
    round_ = RoundReport(
        name="all", points=1, observations=2, loss_px=1.0, initial_cost=9.0, final_cost=1.0,
        iterations=2, usable=True, converged=True, costs=(9.0, 2.0, 1.0),
    )  # fmt: skip
    assert "9 to 1 in 2 steps" in charts.cost_curve([round_])
    html = render(report, pictures, "<p>a scene</p>")
    tags = Tags(html).found
    for tag, attributes in tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden")
        if tag == "iframe":
            assert attributes["title"]
            assert attributes["srcdoc"] == "<p>a scene</p>"
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "url(" not in html
    assert {"img", "svg", "iframe", "table"} <= {tag for tag, _ in tags}


def test_names_and_errors_cannot_become_markup() -> None:
    images = [replace(image, name=NASTY, reason=NASTY) for image in image_facts(2)]
    run = run_facts(line=NASTY, ok=False, status="failed", config={"x": NASTY})
    report, _ = build_report(NASTY, run, images, None, {}, SilentProgress())
    html = render(report, {}, None)
    assert "onerror" not in {name for _, attributes in Tags(html).found for name in attributes}
    assert data_of(html)["images"][0]["name"] == NASTY


def test_a_failed_run_has_a_page_that_says_why() -> None:
    run = run_facts(ok=False, status="failed", line="only black photographs")
    report, pictures = build_report("test", run, [], None, {}, SilentProgress())
    html = render(report, pictures, None)
    assert "Unusable: only black photographs." in html
    assert "Before and after" not in html


def test_a_page_that_would_be_too_large_leaves_out_pictures_then_the_scene(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report, pictures = built()
    small = len(render(report, {}, None).encode())
    monkeypatch.setattr(page, "MOST_BYTES", small + 2000)
    shown = render(report, pictures, "s" * 500)
    assert "srcdoc" in shown
    assert "<figcaption><b>" not in shown
    assert "too large for this page" in render(report, pictures, "s" * 5000)


def test_worst_photographs_come_first() -> None:
    images = image_facts(4)
    images[2] = replace(images[2], status="rejected")
    images[3] = replace(images[3], median_error_px=0.9)
    assert worst_first(images) == [2, 3, 0, 1]


def test_files_are_written_whole(tmp_path: Path) -> None:
    report, _ = built()
    write_page(tmp_path, report, "<p>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]
    plain = json.loads((tmp_path / "report.json").read_text())
    assert plain["verdict"]["level"] == report.verdict.level


def test_charts_survive_what_is_degenerate() -> None:
    nothing = Histogram(edges=(0.0, 1.0), counts=(0,))
    assert "<svg" in charts.histogram(nothing, title="t", x_label="x")
    assert charts.focal_spread([]) == ""
    flat = RoundReport(
        name="flat", points=1, observations=2, loss_px=1.0, initial_cost=0.0, final_cost=0.0,
        iterations=0, usable=True, converged=True, costs=(0.0,),
    )  # fmt: skip
    assert "nan" not in charts.cost_curve([flat])
    assert charts.matrix(np.zeros((3, 3), np.int64)).startswith("data:image/png;base64,")
