"""What the embedded model does on rendered scenes that no training has seen.

``python -m vggt_sfm.benchmarks.rendered -o FOLDER [--textures DIR | --texture-bank FILE]``

Every kind of scene in equal shares; cameras, depth and focal length are exact. The photographs
are kept in FOLDER for the next weights.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from vggt_sfm.benchmarks.colmap_run import quiet
from vggt_sfm.benchmarks.embedded_parts import Photographs
from vggt_sfm.benchmarks.options import (
    output_option,
    texture_options,
    threads_option,
    use_threads,
    weights_option,
)
from vggt_sfm.benchmarks.rendered_measures import SceneMeasures, measure_scene
from vggt_sfm.benchmarks.rendered_photographs import (
    is_written,
    read_photographs,
    renderer_key,
    write_photographs,
)
from vggt_sfm.benchmarks.rendered_tables import figures, tables
from vggt_sfm.benchmarks.rendered_textures import HeldOut, held_out_textures
from vggt_sfm.benchmarks.rendered_views import RenderedScene, all_scenes, draw_shots
from vggt_sfm.io.images import file_sha256

SCENES, FAST_SCENES = 6, 2  # of each kind


def photographs_of(chosen: RenderedScene, textures: HeldOut, folder: Path) -> Photographs:
    """Return a scene's photographs, rendered only where they are not yet kept."""
    place = folder / chosen.name
    if is_written(place):
        return read_photographs(place)
    return write_photographs(place, draw_shots(chosen, textures.bank))


def measure_all(
    scenes: list[RenderedScene], textures: HeldOut, weights: Path, output: Path
) -> list[SceneMeasures]:
    """Measure scenes one by one."""
    folder = output / f"scenes-{textures.key}-{renderer_key()}"
    measured = []
    for number, chosen in enumerate(scenes, start=1):
        found = photographs_of(chosen, textures, folder)
        each = measure_scene(chosen.kind, chosen.number, found, weights, output / "sift")
        measured.append(each)
        told = " ".join(f"{name} {value:g}" for name, value in figures([each]).items())
        click.echo(f"{number}/{len(scenes)} {chosen.name}: {told}", err=True)
    return measured


@click.command()
@output_option
@weights_option
@texture_options
@threads_option
@click.option("--fast", is_flag=True, help="Two scenes of each kind instead of six.")
def main(
    output: Path,
    weights: Path,
    textures: Path | None,
    texture_bank: Path | None,
    threads: int,
    fast: bool,
) -> None:
    """Measure and print tables; all figures go to OUTPUT/results.json."""
    quiet()
    use_threads(threads)
    output.mkdir(parents=True, exist_ok=True)
    chosen = held_out_textures(textures, texture_bank)
    measured = measure_all(all_scenes(FAST_SCENES if fast else SCENES), chosen, weights, output)
    found = {
        "weights": file_sha256(weights),
        "fast": fast,
        "textures": chosen.key,
        "all": figures(measured),
        "scenes": [asdict(each) for each in measured],
    }
    (output / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    click.echo("\n\n".join(tables(measured)))


if __name__ == "__main__":
    main()
