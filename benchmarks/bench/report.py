"""What a benchmark has found, beside what is claimed: Markdown, HTML and a chart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vggt_sfm._files import replacing
from vggt_sfm.benchmarks.bench.against import Change, table_of
from vggt_sfm.benchmarks.bench.claims import KINDS, VGGT, claims_of
from vggt_sfm.benchmarks.bench.modes import GLOBAL, INCREMENTAL, OURS, TITLES
from vggt_sfm.benchmarks.bench.page import Chart, Section, Table, as_html, as_markdown
from vggt_sfm.benchmarks.bench.plan import Header
from vggt_sfm.benchmarks.bench.recall import recall_chart
from vggt_sfm.benchmarks.bench.rows import Row
from vggt_sfm.benchmarks.bench.summary import ALL, Summary, headline, summaries
from vggt_sfm.benchmarks.datasets.bags import Area, Dataset, Rules
from vggt_sfm.benchmarks.datasets.manifest import Manifest
from vggt_sfm.benchmarks.scores import areas_cell
from vggt_sfm.io.plain import to_plain
from vggt_sfm.models.records import VGGT_1B
from vggt_sfm.pipelines.stage import writing

NOT_MEASURED = "not measured"
_AREA: dict[Area, str] = {
    "auc_exact": "exact AUC, directions with their sign",
    "auc_exact_folded": "exact AUC, opposite directions equal",
    "auc_histogram": "AUC of one-degree bins, opposite directions equal",
}
_SHOWN = (1, 3, 5, 10, 30)
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
    sections = [_main(found, scores), *_recall(found), *_groups(found, scores)]
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
    measured = headline(scores, rules)
    figures = {s.mode: _figure(s, rules) for s in measured}
    parts: list[str | Table | Chart] = [f"Percent of {_area_words(rules)}."]
    if any(s.intervals for s in measured):
        parts = [f"{parts[0]} In brackets 95 % intervals, bags drawn again."]
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
    return VGGT if name == VGGT_1B else name  # not any file of its shape


def _cameras(method: str, mode: str) -> str:
    words = [method if mode not in (INCREMENTAL, GLOBAL) else "", TITLES.get(mode, "")]
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
    widest = max(found.dataset.rules.thresholds)
    sections = [] if kinds else [_section("All bags", "", together, widest)]
    for kind in kinds:
        of_kind = sorted((s for s in scores if s.kind == kind), key=lambda s: _by_number(s.value))
        if len({s.value for s in of_kind}) > 1:
            of_kind += [s for s in scores if s.kind == f"mean over {kind}"] + together
        sections.append(_section(f"By {kind}", kind, of_kind, widest))
    return sections


def _section(title: str, first: str, scores: Sequence[Summary], widest: int) -> Section:
    angles = "/".join(map(str, _SHOWN))
    titles = [first, "cameras", "bags", "failed", "registered", f"exact AUC@{angles}"]
    titles += [f"histogram AUC@{angles}", f"95 % of @{widest}", "RRA/RTA@5", "median s", "peak MB"]
    rows = [
        [
            s.value or s.kind,
            TITLES[s.mode],
            str(s.bags),
            str(s.failed),
            f"{s.registered}/{s.images}",
            *_areas(s, widest),
            "-" if s.seconds is None else f"{s.seconds:.1f}",
            "-" if s.peak_memory_mb is None else f"{s.peak_memory_mb:.0f}",
        ]
        for s in scores
    ]
    return Section(title=title, parts=[Table(titles, rows)])


def _areas(summary: Summary, widest: int) -> list[str]:
    scores, ends = summary.scores, summary.intervals.get(str(widest))
    if scores is None:
        return ["no ground truth", "no ground truth", "-", "-"]
    areas = (areas_cell(area, _SHOWN) for area in (scores.auc_exact, scores.auc_histogram))
    within = f"{ends[0]:.1f} to {ends[1]:.1f}" if ends else "-"
    return [*areas, within, f"{scores.rra['5']:.1f}/{scores.rta['5']:.1f}"]


def _by_number(text: str) -> tuple[float, str]:
    return (float(text) if text.isdecimal() else np.inf), text


def _recall(found: Found) -> list[Section]:
    chart = recall_chart(found.rows, found.manifest.bags, found.dataset.rules)
    return [] if chart is None else [Section(title="Recall", parts=[chart])]


def _failures(rows: Sequence[Row]) -> list[Section]:
    failed = [row for row in rows if row.status == "failed"]
    if not failed:
        return []
    table = Table(
        ["bag", "cameras", "reason"],
        [[row.scene, TITLES[row.mode], row.reason or ""] for row in failed[:_MOST_FAILURES]],
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
