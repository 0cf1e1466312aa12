"""How rough may a prediction be? The same photographs from worse and worse starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from vggt_sfm._chart import Panel, Series, line_chart
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.disturbed import Errors
from vggt_sfm.benchmarks.synthetic import Setup, problem
from vggt_sfm.benchmarks.trials import run_trial

Kind = Literal["independent", "correlated"]
DEGREES = (2, 5, 10, 20, 30, 45, 60, 90, 120)
KINDS: tuple[Kind, ...] = ("independent", "correlated")
_SETUP = Setup(outlier_tracks=0.1)


def errors_of(kind: Kind, degrees: float) -> Errors:
    """Return errors that grow together: 20° come with a focal length 15 % off, for instance."""
    focal, depth = min(0.05 + 0.005 * degrees, 0.3), min(0.02 * degrees, 0.5)
    if kind == "correlated":
        scale = degrees / 60
        return Errors(
            kind=kind, rotation_deg=degrees, scale=scale, center=0.02, focal=focal, depth=depth
        )
    center = min(0.02 * degrees, 1.0)
    return Errors(kind=kind, rotation_deg=degrees, center=center, focal=focal, depth=depth)


def measure(seeds: int, folder: Path) -> None:
    """Print a table and write ``basin.json`` and ``basin.svg``.

    Args:
        seeds: Of each kind and angle.
        folder: Made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    click.echo(markdown.head(["errors", "°", "exact AUC@5 before: median (worst)", "after"]))
    rows = []
    for kind in KINDS:
        for degrees in DEGREES:
            row = measure_at(kind, degrees, seeds)
            rows.append(row)
            cells = [f"{row[w]['median']:.1f} ({row[w]['worst']:.1f})" for w in ("before", "after")]
            click.echo(markdown.row([kind, str(degrees), *cells]))
    (folder / "basin.json").write_text(json.dumps(rows, indent=1) + "\n")
    (folder / "basin.svg").write_text(chart(rows), encoding="utf-8")


def measure_at(kind: Kind, degrees: float, seeds: int) -> dict[str, Any]:
    """Return exact AUC@5 before and after over some seeds, as JSON has it."""
    errors = errors_of(kind, degrees)
    trials = [
        run_trial(problem(_SETUP, errors, seed), seed, SeedConfig(), BundleConfig())
        for seed in range(seeds)
    ]
    return {
        "kind": kind,
        "degrees": degrees,
        "center": errors.center,
        "focal": errors.focal,
        "seeds": seeds,
        "before": _summary([trial.before.auc_5 for trial in trials]),
        "after": _summary([trial.after.auc_5 for trial in trials]),
        "status": [trial.status for trial in trials],
    }


def _summary(values: list[float]) -> dict[str, float]:
    return {"median": round(float(np.median(values)), 2), "worst": min(values)}


def chart(rows: list[dict[str, Any]]) -> str:
    """Draw median and worst exact AUC@5 after adjustment over the error of the prediction."""
    series, words = [], []
    for kind, color in zip(KINDS, ("first", "second"), strict=True):
        mine = [row for row in rows if row["kind"] == kind]
        for which in ("median", "worst"):
            points = [(row["degrees"], row["after"][which]) for row in mine]
            series.append(
                Series(
                    name=f"{kind}, {which}",
                    points=points,
                    color="first" if color == "first" else "second",
                    dashed=which == "worst",
                )
            )
            figures = ", ".join(f"{value:.0f} at {degrees}°" for degrees, value in points)
            words.append(f"{kind} errors, {which} of {mine[0]['seeds']} seeds: {figures}")
    panel = Panel(
        series=series,
        x_label="rotation error of the prediction, degrees",
        y_label="exact AUC@5 after adjustment, %",
        x_ticks=(0, 20, 40, 60, 80, 100, 120),
        y_ticks=(0, 25, 50, 75, 100),
    )
    return line_chart(
        panel,
        title="Accuracy after bundle adjustment by error of the prediction",
        description="Exact AUC@5 in percent. " + ". ".join(words) + ".",
    )
