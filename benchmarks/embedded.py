"""What the embedded model does on photographs, alone and beside SIFT.

``python -m vggt_sfm.benchmarks.embedded --data ROOT -o FOLDER [--weights FILE] [--only PART]``

``--weights`` measures a candidate: a .safetensors file with its .json beside it. ``--fast`` leaves
out what a training need not see again and again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vggt_sfm.benchmarks.colmap_run import quiet
from vggt_sfm.benchmarks.embedded_cost import run_cost
from vggt_sfm.benchmarks.embedded_feedforward import run_scenes, run_windows
from vggt_sfm.benchmarks.embedded_matches import run_matches
from vggt_sfm.benchmarks.embedded_pairs import run_pairs
from vggt_sfm.benchmarks.embedded_parts import Measured, Plan
from vggt_sfm.benchmarks.options import threads_option, use_threads, weights_option
from vggt_sfm.errors import InputError
from vggt_sfm.io.images import file_sha256

# cost comes first: a child begins with its parent's peak of memory as its own
PARTS: dict[str, Callable[[Plan], Measured]] = {
    "cost": run_cost,
    "windows": run_windows,
    "scenes": run_scenes,
    "pairs": run_pairs,
    "matches": run_matches,
}
FAST_PARTS = ("windows", "matches")


def measure(part: str, plan: Plan) -> Measured:
    """Measure a part; where its photographs are missing, say so."""
    try:
        return PARTS[part](plan)
    except InputError as error:
        return Measured(tables=(f"not measured: {error}",), figures={"not_measured": str(error)})


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@weights_option
@click.option("--only", type=click.Choice(list(PARTS)))
@click.option("--fast", is_flag=True, help="Fewer windows and pairs; only windows and matches.")
@threads_option
def main(
    data: Path, output: Path, weights: Path, only: str | None, fast: bool, threads: int
) -> None:
    """Measure and print tables; this run's figures go to OUTPUT/results.json."""
    quiet()
    use_threads(threads)
    output.mkdir(parents=True, exist_ok=True)
    plan = Plan(data=data.absolute(), weights=weights, output=output, fast=fast)
    figures: dict[str, Any] = {"weights": file_sha256(weights), "fast": fast}
    for part in [only] if only else FAST_PARTS if fast else PARTS:
        found = measure(part, plan)
        figures[part] = found.figures
        click.echo("\n\n".join([f"## {part}", *found.tables]) + "\n")
        (output / "results.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
