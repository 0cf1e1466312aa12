"""The tables of a benchmark, from rows that were made up for the test."""

from __future__ import annotations

from pathlib import Path

import pytest
from results import row

from vggt_sfm.benchmarks.bench.against import changes, losses
from vggt_sfm.benchmarks.bench.plan import Header, Setup
from vggt_sfm.benchmarks.bench.report import Found, write_report
from vggt_sfm.benchmarks.bench.rows import Row, write_rows
from vggt_sfm.benchmarks.datasets.bags import Bag
from vggt_sfm.benchmarks.datasets.imc import Imc
from vggt_sfm.benchmarks.datasets.manifest import Manifest, write_manifest
from vggt_sfm.errors import InputError
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.report import NetworkReport

BAGS = [
    Bag(name=f"s/{n}", images=("a", "b"), groups=(("bag size", size),))
    for n, size in enumerate(("5", "10", "5", "10"))
]
MANIFEST = Manifest(dataset="imc", frames=Imc.rules.frames, seed=0, bags=tuple(BAGS))
ERRORS = [0.5, 2.5, 4.5, 40.0]


def found(model: str, rows: list[Row]) -> Found:
    network = NetworkReport(
        name=model, weights_sha256="0" * 64, licence="none", commit=None, device="cpu"
    )
    setup = Setup(
        dataset="imc",
        manifest_sha256=MANIFEST.sha256,
        network=network,
        config=ReconstructConfig(),
        threads=1,
        stages={},
    )
    header = Header(setup=setup, hardware="a test", versions={}, begun_utc="today")
    return Found(Imc(Path()), header, MANIFEST, rows)


def lines(text: str) -> dict[str, str]:
    """Rows of Markdown tables by their first cell."""
    cells = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {each[0][2:]: each[-1].removesuffix(" |") for each in cells}


def rows_of(mode: str, more_deg: float = 0.0) -> list[Row]:
    return [row(bag, [error + more_deg], mode) for bag, error in zip(BAGS, ERRORS, strict=True)]


def test_only_the_named_model_stands_where_its_figure_is_claimed(tmp_path: Path) -> None:
    """By hand, pooled: @3 is the mean of 1, 1/3, 0, 0; @10 of 1, 8/10, 6/10, 0."""
    named = lines(write_report(tmp_path, found("vggt-1b", rows_of("ff")), []))
    assert named["VGGT-1B feed-forward"].startswith("@3 33.3 [")
    assert "@10 60.0 [" in named["VGGT-1B feed-forward"]
    assert named["VGGT-1B +BA"] == named["VGGSfM v2"] == "not measured"
    file = lines(write_report(tmp_path, found("vggt-1b (a file)", rows_of("ff")), []))
    assert file["VGGT-1B feed-forward"] == "not measured"
    assert file["vggt-1b (a file) feed-forward"] == named["VGGT-1B feed-forward"]
    text = (tmp_path / "report.md").read_text()
    assert "| VGGT-1B +BA | @3 66.37, @5 75.16, @10 84.91 | - | not measured |" in text
    assert "| VGGSfM v1.1 | - | @3 64.74, @5 72.21, @10 80.98 | not measured |" in text
    by_size = text[text.index("## By bag size") :]
    assert (
        by_size.index("| 5 |") < by_size.index("| 10 |") < by_size.index("| mean over bag size |")
    )


def test_pycolmap_stands_under_its_own_name(tmp_path: Path) -> None:
    rows = [*rows_of("ff"), *rows_of("incremental"), *rows_of("global")]
    told = lines(write_report(tmp_path, found("tiny", rows), []))
    assert told["pycolmap incremental"] == told["pycolmap global"] == told["tiny feed-forward"]


def test_only_what_both_runs_measured_is_compared(tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.json", MANIFEST)
    write_rows(tmp_path / "results.jsonl", [*rows_of("ff")[:3], *rows_of("incremental")])
    worse = [
        row(bag, [error + 2], mode)
        for mode in ("ff", "incremental")
        for bag, error in zip(BAGS, ERRORS, strict=True)
    ]
    compared = changes(Imc(Path()), BAGS, worse, tmp_path)
    by_mode = {(change.mode, change.threshold_deg): change for change in compared}
    assert by_mode["ff", 10].bags == 3
    assert by_mode["incremental", 10].bags == 4
    assert by_mode["ff", 10].before - by_mode["ff", 10].now == pytest.approx(20, abs=0.02)
    assert len(losses(compared, 15)) == 3, "ff @3, @5, @10; pycolmap is no loss of ours"
    assert losses(compared, 50) == []
    other = [Bag(name=bag.name, images=("a", "c"), groups=bag.groups) for bag in BAGS]
    with pytest.raises(InputError, match="no bag with ground truth"):
        changes(Imc(Path()), other, worse, tmp_path)
