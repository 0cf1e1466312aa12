"""What does the rescue save, what does it cost, and does it leave good results alone?

``python -m vggt_sfm.benchmarks.rescue -o FOLDER [--data ROOT] [--sets NAME …] [--usual N]``

Hard sets are rendered, with exact cameras, or chosen from the photographs of ROOT. Each is
reconstructed without the rescue and with it; sets that are done in FOLDER are read from there:
remove a set's folder where the code has changed. ``wrong`` counts images off by more than 5
degrees; the worst are those that the run does not name. CPU seconds are those of fresh runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from vggt_sfm import ReconstructConfig
from vggt_sfm.benchmarks.colmap_run import quiet
from vggt_sfm.benchmarks.options import (
    output_option,
    texture_options,
    threads_option,
    use_threads,
)
from vggt_sfm.benchmarks.rendered import photographs_of
from vggt_sfm.benchmarks.rendered_photographs import renderer_key
from vggt_sfm.benchmarks.rendered_textures import HeldOut, held_out_textures
from vggt_sfm.benchmarks.rendered_views import all_scenes
from vggt_sfm.benchmarks.rescue.outcome import Outcome
from vggt_sfm.benchmarks.rescue.real import REAL_SETS
from vggt_sfm.benchmarks.rescue.runs import Outcomes, both_ways
from vggt_sfm.benchmarks.rescue.sets import SETS
from vggt_sfm.benchmarks.rescue.tables import sets_table, usual_table
from vggt_sfm.benchmarks.rescue.wrong_start import DisturbedPredictor
from vggt_sfm.inference import Predictor, open_predictor

_OF_EACH_KIND = 6  # usual scenes that benchmarks/rendered keeps
_REASONS = {
    **{name: chosen.why for name, chosen in SETS.items()},
    **{name: chosen.why for name, chosen in REAL_SETS.items()},
}


def photos_of_set(name: str, folder: Path, textures: HeldOut, data: Path | None) -> Path:
    """Return the folder of a set's photographs, made where they are not yet kept."""
    if name in REAL_SETS:
        if data is None:
            raise click.UsageError(f"{name}: say with --data where the photographs are")
        place = folder / "real" / name
        if not place.is_dir():
            REAL_SETS[name].write(place, data)
        return place
    place = folder / f"{textures.key}-{renderer_key()}" / name
    if not place.is_dir():
        SETS[name].write(place, textures.bank)
    return place


def predictor_of_set(name: str, predictor: Predictor) -> Predictor:
    """Return the predictor that a set is meant for."""
    disturbance = SETS[name].disturbance if name in SETS else None
    return predictor if disturbance is None else DisturbedPredictor(predictor, disturbance)


def config_of_set(name: str, config: ReconstructConfig) -> ReconstructConfig:
    """Return the options that a set is meant for: users say which lens they have."""
    model = SETS[name].camera_model if name in SETS else config.seed.camera_model
    return replace(config, seed=replace(config.seed, camera_model=model))


def usual_scenes(count: int, textures: HeldOut, folder: Path) -> Iterator[tuple[str, Path]]:
    """Give some of the rendered test scenes, of all kinds in turn, rendered where need be.

    Args:
        count: How many at most.
        textures: Of the test scenes.
        folder: What ``benchmarks.rendered`` was told as its output.
    """
    place = folder / f"scenes-{textures.key}-{renderer_key()}"
    in_turn = sorted(all_scenes(_OF_EACH_KIND), key=lambda scene: scene.number)
    for chosen in in_turn[:count]:
        photographs_of(chosen, textures, place)
        yield chosen.name, place / chosen.name


def in_words(outcome: Outcome) -> str:
    """Say in one line what came of a run."""
    counts = f"{outcome.right} right, {outcome.wrong_unnamed} wrong unnamed"
    return f"{outcome.auc5:.1f}/{outcome.auc30:.1f}, {counts}: {outcome.line}"


def told(found: Iterable[Outcomes]) -> list[Outcomes]:
    """Say what comes of each set as soon as it is there."""
    every = []
    for each in found:
        every.append(each)
        ways = " -> ".join(map(in_words, (each.before, each.after)))
        click.echo(f"{each.name}: {ways}", err=True)
    return every


@click.command()
@output_option
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--sets",
    "names",
    type=click.Choice([*SETS, *REAL_SETS]),
    multiple=True,
    help="May be given several times. Default: all, the real ones where there is --data.",
)
@click.option("--usual", type=click.IntRange(min=0), default=0, help="Rendered test scenes.")
@click.option("--photos", type=click.Path(path_type=Path), help="Keeps the hard sets' photographs.")
@click.option("--rendered", type=click.Path(path_type=Path), help="Output of benchmarks.rendered.")
@texture_options
@threads_option
def main(
    output: Path,
    data: Path | None,
    names: tuple[str, ...],
    usual: int,
    photos: Path | None,
    rendered: Path | None,
    textures: Path | None,
    texture_bank: Path | None,
    threads: int,
) -> None:
    """Reconstruct hard sets and usual scenes both ways and print tables."""
    quiet()
    use_threads(threads)
    config = ReconstructConfig(report=False)
    predictor = open_predictor(config.predict, keep=True)
    held_out = held_out_textures(textures, texture_bank)
    chosen = names or ([*SETS, *REAL_SETS] if data is not None else [*SETS])
    hard = told(
        both_ways(
            name,
            photos_of_set(name, photos or output / "photos", held_out, data),
            output / "hard" / name,
            predictor_of_set(name, predictor),
            config_of_set(name, config),
        )
        for name in chosen
    )
    tables = [sets_table(hard, _REASONS)]
    if usual:
        scenes = usual_scenes(usual, held_out, rendered or output / "rendered")
        tables.append(
            usual_table(
                told(
                    both_ways(name, place, output / "usual" / name, predictor, config)
                    for name, place in scenes
                )
            )
        )
    text = "\n\n".join(tables)
    (output / "tables.md").write_text(text + "\n", encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
