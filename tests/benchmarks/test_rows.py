"""Results on disk, and what is made of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from results import row

from vggt_sfm.benchmarks.bench.rows import Row, append_row, read_rows, scored, write_rows
from vggt_sfm.benchmarks.bench.run import tasks_left
from vggt_sfm.benchmarks.bench.summary import headline, summaries
from vggt_sfm.benchmarks.datasets.bags import Bag, Rules
from vggt_sfm.benchmarks.scores import Errors
from vggt_sfm.errors import InputError

RULES = Rules(frames="all", area="auc_histogram", thresholds=(5, 30), averaged_over="category")
APPLES = [Bag(name=f"apple/{n}", images=("a", "b"), groups=(("category", "apple"),)) for n in "12"]
CARS = [Bag(name=f"car/{n}", images=("a", "b", "c"), groups=(("category", "car"),)) for n in "12"]


def failed(bag: Bag) -> Row:
    nothing: NDArray[np.float64] = np.full(len(bag.images) * (len(bag.images) - 1) // 2, np.inf)
    return Row(
        scene=bag.name,
        mode="ff",
        status="failed",
        reason="broken",
        images=len(bag.images),
        **scored(Errors(rotation=nothing, translation=nothing)),
    )


def test_results_come_back_and_a_torn_line_is_none(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert read_rows(path) == []
    rows = [row(APPLES[0], [1 / 3]), failed(CARS[0])]
    for each in rows:
        append_row(path, each)
    assert read_rows(path) == rows
    plain = json.loads(path.read_text().splitlines()[1])
    assert plain["rotation_deg"] == [None] * 3
    with path.open("ab") as stream:
        stream.write(path.read_bytes()[:50])
    assert read_rows(path) == rows
    write_rows(path, read_rows(path))
    append_row(path, row(APPLES[1], [2.0]))
    assert len(read_rows(path)) == 3
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(InputError, match="line 1: not a result"):
        read_rows(path)


def test_only_what_has_no_row_is_left() -> None:
    left = tasks_left(APPLES, ["ff", "ba"], [row(APPLES[0], [1.0]), row(APPLES[1], [1.0], "ba")])
    assert [(task.bag.name, task.mode) for task in left] == [("apple/1", "ba"), ("apple/2", "ff")]


def test_categories_count_the_same_and_failures_count() -> None:
    """By hand: 0.5° is within every bin, 10.5° within 20 of 30 and none of 5."""
    rows = [
        row(APPLES[0], [0.5]),
        row(APPLES[1], [10.5]),
        row(CARS[0], [0.5, 0.5, 10.5]),
        failed(CARS[1]),
    ]
    found = summaries(rows, [*APPLES, *CARS], RULES)
    (mean,) = headline(found, RULES)
    apple, car = (100 * (1 + 2 / 3) / 2, 100 * (2 + 2 / 3) / 6)
    assert mean.scores is not None
    assert mean.scores.auc_histogram["30"] == pytest.approx((apple + car) / 2, abs=0.02)
    assert mean.scores.auc_histogram["5"] == pytest.approx((50 + 100 / 3) / 2, abs=0.02)
    assert (mean.bags, mean.failed, mean.images, mean.registered) == (4, 1, 10, 7)
    low, high = mean.intervals["30"]
    assert low < mean.scores.auc_histogram["30"] < high
    (pooled,) = [summary for summary in found if summary.kind == "all"]
    assert pooled.scores is not None
    assert pooled.scores.auc_histogram["30"] == pytest.approx((2 * apple + 6 * car) / 8, abs=0.02)
    assert [s.value for s in found if s.kind == "category"] == ["apple", "car"]


def test_bags_without_truth_have_no_scores() -> None:
    free = Row(scene="apple/1", mode="ff", status="done", images=2, registered=2)
    (summary,) = headline(summaries([free], APPLES, RULES), RULES)
    assert summary.scores is None
    assert summary.registered == 2
