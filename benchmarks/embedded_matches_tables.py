"""Tables of judged matches: how many are correct by level, and the poses that they give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.embedded_parts import above, at_least, auc_cell
from vggt_sfm.benchmarks.judged_matches import Judged, MatchedPair
from vggt_sfm.benchmarks.two_views import level_of
from vggt_sfm.metrics.pose import auc_histogram

Level = Literal["overlap", "rotation"]
Test = Literal["on_point", "on_line"]
OVERLAPS = (0, 15, 30, 50, 70, 85, 100)  # percent
ROTATIONS = (0, 15, 30, 45, 60, 180)  # degrees
FEW = 40  # verified SIFT matches
POSE_ANGLES = (5, 15, 30)
HARD_RATIO_BAR = 1.5
_UNITS = {"overlap": "%", "rotation": "°"}
_MEANINGS = {
    "on_point": "within 2 px of the reprojected depth",
    "on_line": "within 2 px of the epipolar lines",
}
_STRECHA = ("fountain-P11", "Herz-Jesus-P8")


def correct_table(pairs: Sequence[MatchedPair], level: Level, test: Test) -> str:
    """Compare correct matches by level: of overlap where it is known, of rotation where not."""
    titles = ["set", f"{level} {_UNITS[level]}", "pairs", f"correct, {_MEANINGS[test]}: model"]
    titles += ["SIFT", "precision %: model", "SIFT", "bar"]
    rows = []
    for name, label, chosen in _by_level(pairs, level):
        sides = [[pair.model for pair in chosen], [pair.sift for pair in chosen]]
        correct = [float(np.mean([getattr(one, test) for one in side])) for side in sides]
        rows.append(
            [
                name,
                label,
                str(len(chosen)),
                *(f"{count:.1f}" for count in correct),
                *(f"{precision(side, test):.1f}" for side in sides),
                above(correct[0], correct[1], "SIFT"),
            ]
        )
    return markdown.table(titles, rows)


def precision(side: Sequence[Judged], test: Test) -> float:
    """Return the share of correct ones among the matches of all pairs that can be judged, %."""
    correct = sum(getattr(one, test) for one in side)
    count = sum(
        one.matches if test == "on_line" or one.with_depth is None else one.with_depth
        for one in side
    )
    return 100 * correct / count if count else float("nan")


def _by_level(
    pairs: Sequence[MatchedPair], level: Level
) -> Iterator[tuple[str, str, list[MatchedPair]]]:
    """Set, level and pairs of each level that has some."""
    edges = OVERLAPS if level == "overlap" else ROTATIONS
    measured = [pair for pair in pairs if (pair.overlap is None) == (level == "rotation")]
    for name in dict.fromkeys(pair.photographs for pair in measured):
        mine = [pair for pair in measured if pair.photographs == name]
        at = [level_of(_value(pair), edges) for pair in mine]
        for number, (low, high) in enumerate(pairwise(edges)):
            chosen = [pair for pair, where in zip(mine, at, strict=True) if where == number]
            if chosen:
                yield name, f"{low}-{high}", chosen


def _value(pair: MatchedPair) -> float:
    return pair.rotation_deg if pair.overlap is None else 100 * pair.overlap


def pose_table(pairs: Sequence[MatchedPair]) -> str:
    """Compare the poses from matches alone, on all pairs and where SIFT finds few matches."""
    titles = ["set", "pairs", "number", "histogram AUC@5/15/30: model", "SIFT", "ratio", "bar @30"]
    rows = []
    names = dict.fromkeys(pair.photographs for pair in pairs)
    groups = [(name, [pair for pair in pairs if pair.photographs == name]) for name in names]
    for name, mine in [*groups, ("all sets", list(pairs))]:
        hard = [pair for pair in mine if pair.sift_verified < FEW]
        rows += [_pose_row(name, "all", mine, judged=False)]
        rows += [_pose_row(name, f"SIFT < {FEW}", hard, judged=True)] if hard else []
    return markdown.table(titles, rows)


def _pose_row(name: str, which: str, pairs: Sequence[MatchedPair], *, judged: bool) -> list[str]:
    model, sift = ([getattr(pair, side) for pair in pairs] for side in ("model", "sift"))
    errors = [pose_errors(side) for side in (model, sift)]
    ratios = [
        ours / theirs if theirs else float("inf")
        for ours, theirs in ([auc_histogram(e, t) for e in errors] for t in POSE_ANGLES)
    ]
    return [
        name,
        which,
        str(len(pairs)),
        *(auc_cell(auc_histogram, e, POSE_ANGLES) for e in errors),
        "/".join(f"{ratio:.2f}" for ratio in ratios),
        at_least(ratios[-1], HARD_RATIO_BAR) if judged else "-",
    ]


def pose_errors(side: Sequence[Judged]) -> Float64:
    """Return the (P,) errors of poses, degrees; inf where there is none."""
    return np.array([np.inf if one.pose_deg is None else one.pose_deg for one in side])
