"""The report as people open it: in a browser, from a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import photos
import pytest
from browser import LOCAL, BrowserPage, browsing
from reported import image_facts, opened, run_facts

from vggt_sfm._log import SilentProgress
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.report.build import build_report
from vggt_sfm.report.page import render, write_page
from vggt_sfm.scene import Frame, Size
from vggt_sfm.viewer.page import static_page

pytestmark = [pytest.mark.browser, pytest.mark.allow_hosts(LOCAL)]

# WCAG 2.1, 1.4.3: contrast of text that is to be read by all
LEAST_CONTRAST = 4.5


@pytest.fixture(scope="module")
def photographed(tmp_path_factory: pytest.TempPathFactory) -> OpenedModel:
    folder = tmp_path_factory.mktemp("report photographs")
    model = opened()
    frames = {}
    for view, image in zip(photos.views(8, 400, 300), model.images(), strict=True):
        path = folder / image.name
        photos.save(path, view)
        frames[image.name] = Frame(name=image.name, path=str(path), size=Size(400, 300), sha256="")
    return replace(model, frames=frames)


@pytest.fixture(scope="module")
def page_of(photographed: OpenedModel) -> Callable[[Path, str | None], Path]:
    def write(folder: Path, scene: str | None) -> Path:
        names = [replace(i, name=f"{s:03d}.png") for s, i in enumerate(image_facts(8))]
        report, pictures = build_report(
            "report", run_facts(), names, photographed, {}, SilentProgress()
        )
        write_page(folder, report, render(report, pictures, scene))
        return folder / "report.html"

    return write


def contrasts(page: BrowserPage) -> list[float]:
    """Contrast of every piece of text with what is behind it, by WCAG's formula."""
    found: list[float] = page.page.evaluate(
        """() => {
          const parse = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
          const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
          const behind = e => { for (; e; e = e.parentElement) {
            const c = parse(getComputedStyle(e).backgroundColor);
            if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
          return [...document.querySelectorAll("body *")]
            .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
            .filter(e => !["SCRIPT", "STYLE", "TITLE"].includes(e.tagName))
            .map(e => { const s = getComputedStyle(e);
              const a = light(parse(e instanceof SVGElement ? s.fill : s.color));
              const b = light(behind(e));
              return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); });
        }"""
    )
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_is_readable_and_keeps_to_itself(
    page_of: Callable[[Path, str | None], Path], tmp_path: Path, scheme: str
) -> None:
    path = page_of(tmp_path, None)
    with browsing(color_scheme=scheme) as page:  # type: ignore[arg-type]
        page.open(path)
        pixels = page.screenshot()
        read = contrasts(page)
        broken = page.page.evaluate(
            "() => [...document.images].filter(i => !i.naturalWidth).map(i => i.alt)"
        )
        assert (page.errors, page.outside, broken) == ([], [], [])
    assert (np.median(pixels) < 60) == (scheme == "dark")
    assert len(read) > 50
    assert min(read) >= LEAST_CONTRAST


def test_the_matrix_tells_pairs_and_the_scene_draws(
    page_of: Callable[[Path, str | None], Path], photographed: OpenedModel, tmp_path: Path
) -> None:
    path = page_of(tmp_path, static_page(photographed))
    with browsing() as page:
        page.open(path)
        page.page.locator("#matrix").hover(position={"x": 3, "y": 60})
        assert "000.png: " in (page.page.locator("#cell").text_content() or "")
        frame = page.page.frame_locator("iframe")
        page.page.locator("iframe").scroll_into_view_if_needed()
        frame.locator("canvas").first.wait_for(timeout=60_000)
        assert (page.errors, page.outside) == ([], [])


def test_a_failed_run_reads_well(tmp_path: Path) -> None:
    run = run_facts(ok=False, status="failed", line="none of 3 image files can be read")
    report, pictures = build_report("report", run, [], None, {}, SilentProgress())
    write_page(tmp_path, report, render(report, pictures, None, ""))
    with browsing(color_scheme="dark") as page:
        page.open(tmp_path / "report.html")
        text = page.page.locator("body").inner_text()
        assert min(contrasts(page)) >= LEAST_CONTRAST
        assert (page.errors, page.outside) == ([], [])
    assert text.index("Unusable: none of 3 image files can be read.") < 100
    assert "Rule:" in text
