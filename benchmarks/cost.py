"""CPU seconds of a whole reconstruction beside pycolmap's on the same files.

``python -m vggt_sfm.benchmarks.cost --data ROOT -o FOLDER [--repeat N] [SCENE …]``

Ours, pycolmap with its defaults and pycolmap with our features run in turn, each in a process of
its own with one thread. Exits with 7 where a bar is missed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.cost_runs import DEFAULTS, OURS, SAME, Cost, run_scene
from vggt_sfm.errors import GateError

SCENES = ("fountain-P11", "7scenes_a")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """What a scene may cost beside pycolmap, and what it may lose against it."""

    whole: float
    """Largest ratio of the whole reconstruction to pycolmap's with its defaults."""
    after_features: float
    """Largest ratio of what follows the extraction, with the same features."""
    auc_deg: int
    auc_points: float
    """Most points of exact AUC at that angle that may be lost."""


BARS = {
    "fountain-P11": Bars(whole=1 / 2.5, after_features=0.8, auc_deg=5, auc_points=0.5),
    "7scenes_a": Bars(whole=1 / 4, after_features=0.4, auc_deg=30, auc_points=1.0),
}


def median(costs: Sequence[Cost], program: str, of: Callable[[Cost], float]) -> float:
    """Return the median over the runs of a program."""
    return float(np.median([of(cost) for cost in costs if cost.program == program]))


def cost_rows(scene: str, costs: Sequence[Cost]) -> list[str]:
    """One line for each program: medians over its runs."""
    rows = []
    for program in (OURS, DEFAULTS, SAME):
        mine = [cost for cost in costs if cost.program == program]
        steps = _listed([cost.steps for cost in mine])
        auc = ["no ground truth"] if mine[0].auc is None else _auc(mine)
        total, after = (
            f"{median(costs, program, of):.1f}"
            for of in (lambda c: c.cpu_seconds, lambda c: c.after_features)
        )
        cells = [scene, program, str(mine[0].registered), *auc, total, after, steps]
        rows.append(markdown.row(cells))
    return rows


def task_row(scene: str, costs: Sequence[Cost]) -> str:
    """One line with what our stages spend on each of their tasks."""
    return markdown.row([scene, _listed([cost.tasks for cost in costs if cost.program == OURS])])


def _listed(seconds: Sequence[dict[str, float]]) -> str:
    """Medians over runs, by name."""
    return ", ".join(f"{k} {np.median([run.get(k, 0) for run in seconds]):.1f}" for k in seconds[0])


def _auc(costs: Sequence[Cost]) -> list[str]:
    angles = ("1", "3", "5", "30")
    return ["/".join(f"{np.median([c.auc[a] for c in costs if c.auc]):.1f}" for a in angles)]


def bar_rows(scene: str, costs: Sequence[Cost]) -> list[tuple[bool, str]]:
    """Whether each bar of a scene is met, and one line for each; none for other scenes."""
    if scene not in BARS:
        return []
    bars, angle = BARS[scene], str(BARS[scene].auc_deg)

    def whole(cost: Cost) -> float:
        return cost.cpu_seconds

    def after(cost: Cost) -> float:
        return cost.after_features

    def auc(cost: Cost) -> float:
        return cost.auc[angle] if cost.auc else float("nan")

    found = [
        ("whole / pycolmap, defaults", ratio(costs, DEFAULTS, whole), bars.whole),
        ("after features / pycolmap, same", ratio(costs, SAME, after), bars.after_features),
    ]
    for program in (DEFAULTS, SAME):
        lost = median(costs, program, auc) - median(costs, OURS, auc)
        found.append((f"AUC@{angle} lost against {program}", lost, bars.auc_points))
    return [
        (
            value <= limit,
            markdown.row([scene, name, f"{value:.3f}", f"≤ {limit:g}", _met(value <= limit)]),
        )
        for name, value, limit in found
    ]


def _met(good: bool) -> str:
    return "yes" if good else "NO"


def ratio(costs: Sequence[Cost], program: str, of: Callable[[Cost], float]) -> float:
    """Return the median, over pairs of runs beside each other, of ours to another program's."""
    ours, theirs = ([of(c) for c in costs if c.program == p] for p in (OURS, program))
    return float(np.median(np.divide(ours, theirs)))


@click.command()
@click.argument("scenes", nargs=-1)
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True)
def main(scenes: tuple[str, ...], data: Path, output: Path, repeat: int) -> None:
    """Measure scenes and print three tables; every run goes to OUTPUT/cost.jsonl."""
    output.mkdir(parents=True, exist_ok=True)
    titles = ["scene", "program", "registered", "exact AUC@1/3/5/30", "CPU s", "after features"]
    click.echo(markdown.head([*titles, "CPU s by step"]))
    tasks: list[str] = []
    bars: list[tuple[bool, str]] = []
    try:
        with (output / "cost.jsonl").open("w") as log:
            for scene in scenes or SCENES:
                costs = run_scene(data, scene, output, repeat)
                for row in cost_rows(scene, costs):
                    click.echo(row)
                log.writelines(json.dumps({"scene": scene, **asdict(c)}) + "\n" for c in costs)
                log.flush()
                tasks.append(task_row(scene, costs))
                bars += bar_rows(scene, costs)
        click.echo("\n" + markdown.head(["scene", "ours: CPU s by task (some hold others)"]))
        click.echo("\n".join(tasks))
        click.echo("\n" + markdown.head(["scene", "bar", "measured", "limit", "met"]))
        for _, row in bars:
            click.echo(row)
        if missed := sum(not good for good, _ in bars):
            raise GateError(f"{missed} of {len(bars)} bars missed")
    except GateError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from error


if __name__ == "__main__":
    main()
