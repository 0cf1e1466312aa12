"""Tables of what was measured on rendered scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.embedded_matches_tables import correct_table, pose_errors, pose_table
from vggt_sfm.benchmarks.embedded_parts import at_least, auc_cell, below
from vggt_sfm.benchmarks.judged_matches import MatchedPair
from vggt_sfm.benchmarks.rendered_measures import SceneMeasures
from vggt_sfm.benchmarks.rendered_views import MOST_ROTATION_DEG, OVERLAPS
from vggt_sfm.metrics.pose import auc_exact, auc_histogram

ANGLES = (5, 15, 30)
AUC_30_BAR, SIFT_AUC_30_BAR = 75.0, 80.0
DELTA_BAR, FOCAL_BAR = 85.0, 8.0  # percent
ALL = "all"


def tables(measured: Sequence[SceneMeasures]) -> tuple[str, ...]:
    """Write everything that was measured."""
    pairs = [pair for each in measured for pair in each.pairs]
    pooled = [replace(pair, photographs=ALL) for pair in pairs]
    return (
        kinds_table(measured),
        pose_table(pairs),
        correct_table(pooled, "overlap", "on_point"),
        remark(pairs),
        bars_table(measured),
    )


def by_kind(measured: Sequence[SceneMeasures]) -> dict[str, list[SceneMeasures]]:
    """Group scenes by their kind, and all of them."""
    groups = {
        kind: [each for each in measured if each.kind == kind]
        for kind in dict.fromkeys(each.kind for each in measured)
    }
    return {**groups, ALL: list(measured)}


def figures(measured: Sequence[SceneMeasures]) -> dict[str, float]:
    """Pool scenes into the figures that have bars."""
    pairs = [pair for each in measured for pair in each.pairs]
    exact = np.concatenate([each.exact_deg for each in measured])
    return {
        "auc_30": round(auc_exact(exact, ANGLES[-1]), 2),
        "sift_auc_30": round(
            auc_histogram(pose_errors([pair.sift for pair in pairs]), ANGLES[-1]), 2
        ),
        "delta": round(float(np.mean([each.delta for each in measured])), 2),
        "abs_rel": round(float(np.mean([each.abs_rel for each in measured])), 4),
        "focal_percent": round(
            float(np.median(np.concatenate([each.focal_percent for each in measured]))), 2
        ),
    }


def kinds_table(measured: Sequence[SceneMeasures]) -> str:
    """One row for each kind of scene and one for all."""
    titles = ["scenes", "number", "exact AUC@5/15/30", "histogram AUC@5/15/30"]
    titles += ["depth δ<1.25 %", "depth abs-rel", "focal error %"]
    rows = []
    for kind, chosen in by_kind(measured).items():
        found = figures(chosen)
        exact, folded = (
            np.concatenate([getattr(each, name) for each in chosen])
            for name in ("exact_deg", "folded_deg")
        )
        rows.append(
            [
                kind,
                str(len(chosen)),
                auc_cell(auc_exact, exact, ANGLES),
                auc_cell(auc_histogram, folded, ANGLES),
                f"{found['delta']:.1f}",
                f"{found['abs_rel']:.3f}",
                f"{found['focal_percent']:.1f}",
            ]
        )
    return markdown.table(titles, rows)


def bars_table(measured: Sequence[SceneMeasures]) -> str:
    """What must be reached by all scenes together."""
    found = figures(measured)
    rows = [
        ["feed-forward, exact AUC@30", "auc_30", at_least(found["auc_30"], AUC_30_BAR)],
        [
            "SIFT two-view, true intrinsics, histogram AUC@30: the scenes are hard",
            "sift_auc_30",
            below(found["sift_auc_30"], SIFT_AUC_30_BAR),
        ],
        ["depth δ<1.25 %", "delta", at_least(found["delta"], DELTA_BAR)],
        [
            "focal length, median error %",
            "focal_percent",
            below(found["focal_percent"], FOCAL_BAR),
        ],
    ]
    return markdown.table(
        ["all scenes", "found", "bar"],
        [[what, f"{found[key]:.1f}", bar] for what, key, bar in rows],
    )


def remark(pairs: Sequence[MatchedPair]) -> str:
    """Say how the views of the matched pairs lie to each other."""
    low, high = OVERLAPS
    overlap = np.array([np.nan if pair.overlap is None else pair.overlap for pair in pairs])
    turn = np.array([pair.rotation_deg for pair in pairs])
    moderate = np.mean((overlap >= low) & (overlap <= high))
    return (
        f"{len(pairs)} pairs were matched: {100 * moderate:.0f} % of them overlap by "
        f"{100 * low:.0f}-{100 * high:.0f} %, {100 * np.mean(turn <= MOST_ROTATION_DEG):.0f} % are "
        f"turned by {MOST_ROTATION_DEG:g}° or less (median {np.median(turn):.0f}°)."
    )
