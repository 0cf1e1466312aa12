"""What a benchmark has found, beside what is claimed: Markdown, HTML and a chart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vggt_sfm._chart import Color, Panel, Series, line_chart
from vggt_sfm._files import replacing
from vggt_sfm.benchmarks.bench.against import Change, table_of
from vggt_sfm.benchmarks.bench.claims import KINDS, VGGT, claims_of
from vggt_sfm.benchmarks.bench.modes import (
    ADJUSTED,
    FEED_FORWARD,
    GLOBAL,
    INCREMENTAL,
    MATCHING,
    OURS,
)
from vggt_sfm.benchmarks.bench.page import Chart, Section, Table, as_html, as_markdown
from vggt_sfm.benchmarks.bench.plan import Header
from vggt_sfm.benchmarks.bench.rows import Row
from vggt_sfm.benchmarks.bench.summary import ALL, Summary, headline, summaries
from vggt_sfm.benchmarks.datasets.bags import Area, Dataset, Rules
from vggt_sfm.benchmarks.datasets.manifest import Manifest
from vggt_sfm.benchmarks.scores import Scores, pool
from vggt_sfm.io.plain import to_plain
from vggt_sfm.models.records import VGGT_1B
from vggt_sfm.pipelines.stage import writing

NOT_MEASURED = "not measured"
_CHART = "recall.svg"
_AREA: dict[Area, str] = {
    "auc_exact": "exact AUC, directions with their sign",
    "auc_exact_folded": "exact AUC, opposite directions equal",
    "auc_histogram": "AUC of one-degree bins, opposite directions equal",
}
_TITLE = {
    FEED_FORWARD: "feed-forward",
    ADJUSTED: "+BA",
    MATCHING: "as a matcher",
    INCREMENTAL: "pycolmap incremental",
    GLOBAL: "pycolmap global",
}
_STYLES: tuple[tuple[Color, bool], ...] = (
    ("first", True),
    ("first", False),
    ("second", False),
    ("second", True),
)
_SHOWN = (1, 3, 5, 10, 30)
_LAST_DEG = 30
_MOST_FAILURES = 50


class Found(NamedTuple):
    """All that a report tells of."""

    dataset: Dataset
    header: Header
    manifest: Manifest
    rows: Sequence[Row]


def write_report(output: Path, found: Found, compared: Sequence[Change]) -> str:
    """Write ``scores.json``, ``report.md``, ``report.html`` and the chart; return the Markdown.

    Args:
        output: Folder for them.
        found: What was measured.
        compared: Changes against a kept run, if there is one.

    Raises:
        ReconstructionError: If they cannot be written.
    """
    rules = found.dataset.rules
    scores = summaries(found.rows, found.manifest.bags, rules)
    sections = [_main(found, scores), *_charts(found), *_groups(found, scores)]
    if compared:
        sections.append(Section(title="Against the kept run", parts=[table_of(compared)]))
    sections += [*_failures(found.rows), _setup(found)]
    title = f"vggt-sfm bench {found.dataset.name}"
    text = as_markdown(title, sections)
    charts = {p.file: p.svg for s in sections for p in s.parts if isinstance(p, Chart)}
    files = {
        "scores.json": json.dumps(to_plain(scores), indent=1) + "\n",
        "report.md": text,
        "report.html": as_html(title, sections),
        **charts,
    }
    for name, content in files.items():
        with writing(output / name), replacing(output / name) as place:
            place.write_text(content, encoding="utf-8")
    return text


def _main(found: Found, scores: Sequence[Summary]) -> Section:
    rules = found.dataset.rules
    figures = {s.mode: _figure(s, rules) for s in headline(scores, rules)}
    parts: list[str | Table | Chart] = [
        f"Percent of {_area_words(rules)}; in brackets 95 % intervals, bags drawn again."
    ]
    claims = claims_of(found.dataset.name)
    name = _method(found.header)
    if not claims:
        rows = [[_cameras(name, mode), figure] for mode, figure in figures.items()]
        return Section(title="Measured", parts=[*parts, Table(["cameras", "measured here"], rows)])
    ours = [(name if mode in OURS else "", mode) for mode in figures]
    published = [claim[1:3] for claim in claims]
    rows = []
    for method, mode in dict.fromkeys(sorted(published, key=lambda m: m[0] != VGGT) + ours):
        kinds: list[list[str]] = [
            [c.values for c in claims if c[1:4] == (method, mode, kind)] for kind in KINDS
        ]
        told = ["; ".join(values) or "-" for values in kinds]
        here = figures[mode] if (method, mode) in ours else NOT_MEASURED
        rows.append([_cameras(method, mode), *told, here])
    titles = ["cameras", "claimed by the paper", "reproduced by others", "measured here"]
    sources = [f"{c.method}, {c.values}: {c.kind}, {c.source}." for c in claims if c.method == VGGT]
    return Section(
        title="Claimed, reproduced, measured", parts=[*parts, Table(titles, rows), *sources]
    )


def _method(header: Header) -> str:
    name = header.setup.network.name
    return VGGT if name.startswith(VGGT_1B) else name


def _cameras(method: str, mode: str) -> str:
    words = [method if mode not in (INCREMENTAL, GLOBAL) else "", _TITLE.get(mode, "")]
    return " ".join(filter(None, words))


def _area_words(rules: Rules) -> str:
    pooled = "all pairs pooled"
    if rules.averaged_over:
        pooled = f"pairs pooled by {rules.averaged_over}, then the mean"
    return f"{_AREA[rules.area]}, {pooled}"


def _figure(summary: Summary, rules: Rules) -> str:
    if summary.scores is None:
        return "no ground truth"
    areas = getattr(summary.scores, rules.area)
    cells = []
    for t in map(str, rules.thresholds):
        ends = summary.intervals.get(t)
        cells.append(f"@{t} {areas[t]:.1f}" + (f" [{ends[0]:.1f}, {ends[1]:.1f}]" if ends else ""))
    return ", ".join(cells)


def _groups(found: Found, scores: Sequence[Summary]) -> list[Section]:
    """A table a kind of group, with all bags together at its end."""
    kinds = dict.fromkeys(kind for bag in found.manifest.bags for kind, _ in bag.groups)
    together = [s for s in scores if s.kind == ALL]
    sections = [_section("All bags", together)] if not kinds else []
    for kind in kinds:
        mean = [s for s in scores if s.kind == f"mean over {kind}"]
        by_value = sorted((s for s in scores if s.kind == kind), key=lambda s: _by_number(s.value))
        sections.append(_section(f"By {kind}", [*by_value, *mean, *together]))
    return sections


def _section(title: str, scores: Sequence[Summary]) -> Section:
    angles = "/".join(map(str, _SHOWN))
    titles = ["bags", "cameras", "number", "failed", "registered", f"exact AUC@{angles}"]
    titles += [f"histogram AUC@{angles}", "RRA/RTA@5", "median s", "peak MB"]
    rows = [
        [
            s.value or s.kind,
            _TITLE[s.mode],
            str(s.bags),
            str(s.failed),
            f"{s.registered}/{s.images}",
            *_areas(s.scores),
            "-" if s.seconds is None else f"{s.seconds:.1f}",
            "-" if s.peak_memory_mb is None else f"{s.peak_memory_mb:.0f}",
        ]
        for s in scores
    ]
    return Section(title=title, parts=[Table(titles, rows)])


def _areas(scores: Scores | None) -> list[str]:
    if scores is None:
        return ["no ground truth", "no ground truth", "-"]
    areas = (
        "/".join(f"{a[str(t)]:.1f}" for t in _SHOWN)
        for a in (scores.auc_exact, scores.auc_histogram)
    )
    return [*areas, f"{scores.rra['5']:.1f}/{scores.rta['5']:.1f}"]


def _by_number(text: str) -> tuple[float, str]:
    return (float(text) if text.isdecimal() else np.inf), text


def _charts(found: Found) -> list[Section]:
    """Recall over the error, a line a mode."""
    exact = found.dataset.rules.area == "auc_exact"
    series, words = [], []
    for mode, style in zip(dict.fromkeys(row.mode for row in found.rows), _STYLES, strict=False):
        errors = [e for row in found.rows if row.mode == mode and (e := row.errors) is not None]
        if not errors:
            continue
        pooled = pool(errors)
        worst = pooled.exact if exact else pooled.folded
        recall = [100 * float(np.mean(worst < t)) for t in range(_LAST_DEG + 1)]
        name = _TITLE[mode]
        series.append(
            Series(name=name, points=list(enumerate(recall)), color=style[0], dashed=style[1])
        )
        words.append(f"{name}: {recall[5]:.0f} % below 5°, {recall[_LAST_DEG]:.0f} % below 30°")
    if not series:
        return []
    panel = Panel(
        series=series,
        x_label="larger of rotation and direction error, °",
        y_label="pairs below it, %",
        x_ticks=range(0, _LAST_DEG + 1, 5),
        y_ticks=range(0, 101, 20),
    )
    alternative = "; ".join(words)
    svg = line_chart(panel, title="Recall over the pose error", description=alternative)
    return [Section(title="Recall", parts=[Chart(svg, _CHART, alternative)])]


def _failures(rows: Sequence[Row]) -> list[Section]:
    failed = [row for row in rows if row.status == "failed"]
    if not failed:
        return []
    table = Table(
        ["bag", "cameras", "reason"],
        [[row.scene, _TITLE[row.mode], row.reason or ""] for row in failed[:_MOST_FAILURES]],
    )
    more = f"{len(failed)} failed; where there is ground truth, all their pairs count as failed."
    return [Section(title="Failures", parts=[more, table])]


def _setup(found: Found) -> Section:
    header, setup = found.header, found.header.setup
    measured = len({row.scene for row in found.rows})
    facts = {
        "data": f"{found.dataset.name}, from {found.dataset.source}",
        "photographs": found.manifest.frames + (", shortened" if found.manifest.fast else ""),
        "list": f"seed {found.manifest.seed}, sha256 {setup.manifest_sha256}",
        "measured": f"{measured} of {len(found.manifest.bags)} bags",
        "model": f"{setup.network.name} ({setup.network.licence}) on {setup.network.device}",
        "weights": f"sha256 {setup.network.weights_sha256}",
        "machine": header.hardware,
        "threads": str(setup.threads or "one a core"),
        "versions": ", ".join(f"{name} {number}" for name, number in header.versions.items()),
        "begun": header.begun_utc,
    }
    words = (
        "Photographs that were not registered count as failed pairs. Seconds are wall time of a "
        "bag; those of +BA include the prediction, and pycolmap's both ways features and matches. "
        "Memory is the largest of one process that does bag after bag. pycolmap has its own "
        "defaults, on the CPU, and one camera for all photographs where ours has."
    )
    return Section(
        title="How",
        parts=[Table(["what", "here"], [list(fact) for fact in facts.items()]), words],
    )
