"""What the bundle adjustment makes of predictions with known errors, and whether that is enough.

``python -m vggt_sfm.benchmarks.adjustment [--seeds 20] [--only NAME] [-o FOLDER]``

Exits with 7 where a bar is missed. ``--basin FOLDER`` measures how rough a prediction may be.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np

from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.benchmarks import basin, markdown
from vggt_sfm.benchmarks.disturbed import Errors
from vggt_sfm.benchmarks.synthetic import Setup, problem
from vggt_sfm.benchmarks.trials import Trial, run_trial
from vggt_sfm.errors import GateError


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What the median over the seeds has to reach."""

    name: str
    of: Callable[[Trial], float]
    limit: float
    upwards: bool = False
    """Whether more is better; the limit itself is enough in either direction."""

    def met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.limit if self.upwards else value <= self.limit

    def worst(self, values: Sequence[float]) -> float:
        """Return the value that is farthest from good enough."""
        return min(values) if self.upwards else max(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of problem."""

    text: str
    setup: Setup
    errors: Errors
    seeding: SeedConfig = field(default_factory=SeedConfig)
    bars: tuple[Bar, ...] = ()


_GOOD = Errors(rotation_deg=0.3, center=0.01, focal=0.01, depth=0.03)
_BEST = Errors(rotation_deg=0.075, center=0.0025, focal=0.0025, depth=0.0075)
_BETTER = Errors(rotation_deg=0.15, center=0.005, focal=0.005, depth=0.015)

CASES = {
    "independent": Case(
        text="2° and 5 % of everything, 10 % outlier tracks",
        setup=Setup(outlier_tracks=0.1, max_k1=0.05),
        errors=Errors(rotation_deg=2, center=0.05, focal=0.05, depth=0.05),
        seeding=SeedConfig(camera_model="SIMPLE_RADIAL"),
        bars=(
            Bar(name="rotation error °", of=lambda t: t.after.rotation_deg, limit=0.05),
            Bar(name="focal length error %", of=lambda t: t.after.focal_percent, limit=0.5),
            Bar(name="k1 error", of=lambda t: t.after.k1, limit=0.005),
        ),
    ),
    "correlated": Case(
        text="10° drift, 40 % outlier observations",
        setup=Setup(outlier_observations=0.4),
        errors=Errors(
            kind="correlated", rotation_deg=10, center=0.05, scale=0.2, focal=0.05, depth=0.05
        ),
        bars=(Bar(name="exact AUC@5", of=lambda t: t.after.auc_5, limit=95, upwards=True),),
    ),
    "few-tracks": Case(
        text="good prediction, 120 tracks at 2.5 px",
        setup=Setup(cameras=16, tracks=120, noise_px=2.5, outlier_tracks=0.1),
        errors=_GOOD,
        bars=(Bar(name="gain of exact AUC@5", of=lambda t: t.gain, limit=-1, upwards=True),),
    ),
    "few-tracks-better": Case(
        text="half of those errors, the same tracks",
        setup=Setup(cameras=16, tracks=120, noise_px=2.5, outlier_tracks=0.1),
        errors=_BETTER,
    ),
    "few-tracks-best": Case(
        text="a quarter of those errors, the same tracks",
        setup=Setup(cameras=16, tracks=120, noise_px=2.5, outlier_tracks=0.1),
        errors=_BEST,
    ),
    "some-tracks": Case(
        text="good prediction, 600 tracks at 1 px",
        setup=Setup(cameras=16, tracks=600, noise_px=1.0, outlier_tracks=0.1),
        errors=_GOOD,
    ),
    "two": Case(
        text="good prediction, 2 cameras 10° apart, 600 tracks at 1 px",
        setup=Setup(cameras=2, arc_deg=10, tracks=600, noise_px=1.0, outlier_tracks=0.1),
        errors=_GOOD,
    ),
    "narrow": Case(
        text="good prediction, 6 cameras on a 3° arc, 600 tracks at 1 px",
        setup=Setup(cameras=6, arc_deg=3, tracks=600, noise_px=1.0, outlier_tracks=0.1),
        errors=_GOOD,
    ),
    "walk": Case(
        text="walk forward, 10° drift, 20 % outlier tracks",
        setup=Setup(layout="walk", outlier_tracks=0.2),
        errors=Errors(
            kind="correlated", rotation_deg=10, center=0.05, scale=0.2, focal=0.05, depth=0.05
        ),
    ),
}


def run_case(case: Case, seeds: int) -> list[Trial]:
    """Adjust the same problems that every other version of the adjustment is given."""
    return [
        run_trial(problem(case.setup, case.errors, seed), seed, case.seeding, BundleConfig())
        for seed in range(seeds)
    ]


def case_row(name: str, case: Case, trials: Sequence[Trial]) -> str:
    """One line of the table of cases: medians and worst over the seeds."""
    before, after = [t.before.auc_5 for t in trials], [t.after.auc_5 for t in trials]
    gain = [t.gain for t in trials]
    counts = Counter(t.status for t in trials)
    return markdown.row(
        [
            name,
            case.text,
            *(f"{np.median(v):.1f} ({min(v):.1f})" for v in (before, after)),
            f"{np.median(gain):+.1f} ({min(gain):+.1f})",
            f"{np.median([t.after.rotation_deg for t in trials]):.3f}",
            f"{np.median([t.after.focal_percent for t in trials]):.2f}",
            f"{np.median([t.cpu_seconds for t in trials]):.2f}",
            ", ".join(f"{count} {status}" for status, count in sorted(counts.items())),
        ]
    )


def bar_row(name: str, bar: Bar, trials: Sequence[Trial]) -> tuple[bool, str]:
    """Whether a bar is met, and one line of the table of bars."""
    values = [bar.of(trial) for trial in trials]
    median = float(np.median(values))
    good = bar.met(median)
    cells = [
        f"{name}: {bar.name}",
        f"{'≥' if bar.upwards else '≤'} {bar.limit:g}",
        f"{median:.4g}",
        f"{bar.worst(values):.4g}",
        f"{sum(map(bar.met, values))}/{len(values)}",
        "yes" if good else "NO",
    ]
    return good, markdown.row(cells)


def gate(names: Sequence[str], seeds: int, output: Path | None) -> None:
    """Run cases and print two tables.

    Raises:
        GateError: If the median over the seeds misses a bar.
    """
    titles = ["case", "prediction and tracks", "exact AUC@5 before: median (worst)", "after"]
    click.echo(
        markdown.head([*titles, "gain", "rotation °", "focal %", "CPU s", "status of the runs"])
    )
    lines, missed = [], []
    for name in names:
        trials = run_case(CASES[name], seeds)
        click.echo(case_row(name, CASES[name], trials))
        if output is not None:
            plain = [asdict(trial) for trial in trials]
            (output / f"{name}.json").write_text(json.dumps(plain, indent=1) + "\n")
        for bar in CASES[name].bars:
            good, line = bar_row(name, bar, trials)
            lines.append(line)
            if not good:
                missed.append(f"{name}: {bar.name}")
    click.echo("\n" + markdown.head(["bar", "limit", "median", "worst", "seeds within", "met"]))
    for line in lines:
        click.echo(line)
    if missed:
        raise GateError("missed: " + "; ".join(missed))


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--only", "names", multiple=True, type=click.Choice(list(CASES)))
@click.option("-o", "--output", type=click.Path(path_type=Path))
@click.option(
    "--basin",
    "basin_folder",
    type=click.Path(path_type=Path),
    help="Instead: worse and worse predictions; a table, basin.json and basin.svg.",
)
def main(
    seeds: int, names: tuple[str, ...], output: Path | None, basin_folder: Path | None
) -> None:
    """Adjust synthetic problems; every figure of every seed goes to OUTPUT, one file a case."""
    if basin_folder is not None:
        basin.measure(seeds, basin_folder)
        return
    try:
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
        gate(names or list(CASES), seeds, output)
    except GateError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from error


if __name__ == "__main__":
    main()
