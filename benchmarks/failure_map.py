"""Where the embedded model breaks: rendered scenes that get harder in one way at a time.

``python -m vggt_sfm.benchmarks.failure_map -o FOLDER [--ba] [--axis FIELD]``

A run that was stopped goes on where it was. Depth errors are those of the depth maps, after
adjustment those of the points.
"""

from __future__ import annotations

from pathlib import Path

import click

from vggt_sfm.benchmarks.colmap_run import quiet
from vggt_sfm.benchmarks.failure_axes import AXES, all_cases
from vggt_sfm.benchmarks.failure_report import chart, curves, sentence, table
from vggt_sfm.benchmarks.failure_run import Log, run_all
from vggt_sfm.benchmarks.options import (
    output_option,
    texture_options,
    threads_option,
    use_threads,
    weights_option,
)
from vggt_sfm.benchmarks.rendered_photographs import WIDTH, renderer_key
from vggt_sfm.benchmarks.rendered_textures import held_out_textures
from vggt_sfm.io.images import file_sha256

RESULTS, DRAWING, TABLES = "results.jsonl", "failure_map.svg", "failure_map.md"


@click.command()
@output_option
@weights_option
@texture_options
@threads_option
@click.option("--ba", is_flag=True, help="Adjust each prediction, too.")
@click.option("--axis", type=click.Choice([axis.field for axis in AXES]), help="Only this one.")
@click.option("--fast", is_flag=True, help="One scene of each setup.")
def main(
    output: Path,
    weights: Path,
    textures: Path | None,
    texture_bank: Path | None,
    threads: int,
    ba: bool,
    axis: str | None,
    fast: bool,
) -> None:
    """Measure, print tables and sentences, and draw."""
    quiet()
    use_threads(threads)
    output.mkdir(parents=True, exist_ok=True)
    chosen = held_out_textures(textures, texture_bank)
    key = f"{file_sha256(weights)[:12]} {chosen.key} {renderer_key()} {WIDTH}"
    axes = tuple(each for each in AXES if axis in (None, each.field))
    cases = [case for case in all_cases(axes) if not (fast and case.number)]
    results = run_all(cases, Log(output / RESULTS, key), chosen.bank, weights, ba=ba)
    found = {each: curves(each, results) for each in axes}
    text = "\n\n".join(f"{sentence(each, of)}\n\n{table(each, of)}" for each, of in found.items())
    (output / TABLES).write_text(text + "\n")
    (output / DRAWING).write_text(chart(found))
    click.echo(text)


if __name__ == "__main__":
    main()
