"""Checkpoints of VGGT-1B's shape: memory at load, and a reconstruction to the end with one.

``python -m vggt_sfm.benchmarks.checkpoints --spec SPEC --data ROOT -o RESULTS``

The weights are pseudo-random, so that the reconstruction proves that everything runs, and nothing
about its quality.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click

from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.child import run
from vggt_sfm.benchmarks.seeded_checkpoint import FORMATS, checkpoint_path
from vggt_sfm.errors import GateError, VggtSfmError

PRECISIONS = ("float32", "bfloat16")
_PHOTOS = 2
_SCENE = "fountain-P11"
_RUNS = ("pt", "safetensors", "sharded")
_LOAD_TITLES = (
    "format",
    "precision",
    "weights GB",
    "peak GB, loaded",
    "peak GB, all weights read",
    "limit GB",
    "within",
    "s",
)
_RUN_CLI = "from vggt_sfm.cli.main import main; main()"


def limit(weights: int) -> float:
    """Return the most memory that loading may take, bytes, of weights that take so many."""
    return 1.1 * weights + 0.6e9


def measure_load(path: Path, precision: str) -> dict[str, Any]:
    """Load a checkpoint; bytes and seconds, as JSON has them.

    Raises:
        GateError: If it does not load.
    """
    done = run("-m", "vggt_sfm.benchmarks.load_checkpoint", path, precision)
    if done.exit_code:
        raise GateError(f"{path}: loading it as {precision} ended with {done.exit_code}")
    report: dict[str, Any] = json.loads(done.output)
    return report


def load_row(name: str, precision: str, report: dict[str, Any]) -> str:
    """One line of the table of loads."""
    within = "yes" if is_within(report) else "NO"
    weights, loaded, read = (report[k] for k in ("weights", "peak_loaded", "peak_read"))
    sizes = [f"{b / 1e9:.2f}" for b in (weights, loaded, read, limit(weights))]
    return markdown.row([name, precision, *sizes, within, f"{report['seconds']:.1f}"])


def is_within(report: dict[str, Any]) -> bool:
    """Whether neither loading nor reading all weights took more than it may."""
    return bool(max(report["peak_loaded"], report["peak_read"]) <= limit(report["weights"]))


def reconstruct_row(name: str, path: Path, data: Path, output: Path) -> tuple[bool, str]:
    """Reconstruct two photographs; whether that came to its end, and a line of the table."""
    photos, results = output / "photos", output / f"run_{name}"
    shutil.rmtree(results, ignore_errors=True)
    shutil.rmtree(photos, ignore_errors=True)
    photos.mkdir()
    for photo in sorted((data / _SCENE / "images").iterdir())[:_PHOTOS]:
        shutil.copy2(photo, photos)
    done = run("-c", _RUN_CLI, "reconstruct", photos, "-o", results, "--weights", path)
    record = results / "run.json"
    ended = done.exit_code == 0 and record.is_file()
    status = json.loads(record.read_text())["status"] if record.is_file() else "no run.json"
    peak, seconds = f"{done.peak / 1e9:.2f}", f"{done.seconds:.0f}"
    return ended, markdown.row([name, str(done.exit_code), status, peak, seconds])


def gate(spec: Path, data: Path, output: Path, formats: list[str], runs: list[str]) -> None:
    """Make checkpoints, measure, and print two tables.

    Raises:
        GateError: If a limit is broken or a run does not come to its end.
    """
    # In a process of its own: a child starts with its parent's peak
    made = run(
        "-m",
        "vggt_sfm.benchmarks.seeded_checkpoint",
        *("--spec", spec, "-o", output),
        *dict.fromkeys([*formats, *runs]),
    )
    if made.exit_code:
        raise GateError(f"{output}: making the checkpoints ended with {made.exit_code}")
    failures = []
    click.echo(markdown.head(_LOAD_TITLES))
    for name in formats:
        for precision in PRECISIONS:
            report = measure_load(checkpoint_path(output, name), precision)
            click.echo(load_row(name, precision, report))
            if not is_within(report):
                failures.append(f"{name} as {precision} is above its limit")
    if runs:
        click.echo("\n" + markdown.head(["format", "exit code", "status", "peak GB", "wall s"]))
    for name in runs:
        ended, row = reconstruct_row(name, checkpoint_path(output, name), data, output)
        click.echo(row)
        if not ended:
            failures.append(f"the reconstruction with {name} did not come to its end")
    if failures:
        raise GateError("; ".join(failures))


@click.command()
@click.option("--spec", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--format", "formats", multiple=True, type=click.Choice(list(FORMATS)))
@click.option("--run", "runs", multiple=True, type=click.Choice([*FORMATS, "none"]))
def main(
    spec: Path, data: Path, output: Path, formats: tuple[str, ...], runs: tuple[str, ...]
) -> None:
    """Measure what loading takes in each format, then reconstruct from each in float32.

    --format and --run choose formats; --run none leaves out the reconstructions, which take one to
    four minutes each on two cores.
    """
    chosen = [name for name in runs or _RUNS if name != "none"]
    try:
        gate(spec, data, output.absolute(), list(formats or FORMATS), chosen)
    except VggtSfmError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from error


if __name__ == "__main__":
    main()
