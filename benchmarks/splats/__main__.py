"""What novel views do the cameras give? Gaussians are fitted to photographs, others are held out.

``python -m vggt_sfm.benchmarks.splats --data ROOT -o RESULTS [SCENE …]``

Every way reconstructs all photographs together; then equally many Gaussians are fitted, cameras
held, to all but every 8th photograph, and drawn where those were taken. That is done eight times,
so that every photograph is held out once. As controls, the adjusted cameras are also turned by
known errors, with one choice of photographs. Rows that are in RESULTS with the same settings are
not measured again, nor are models made again: remove the scene's folder where the code has changed.

Exits with 7 where a turn costs less than half a decibel: then the measure is blind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw

from vggt_sfm.benchmarks.colmap_run import quiet
from vggt_sfm.benchmarks.options import output_option, threads_option, use_threads
from vggt_sfm.benchmarks.splats.cameras import (
    ADJUSTED,
    COMPARED,
    SCENES,
    TURNED,
    WAYS,
    cameras_of,
    photographs_of,
)
from vggt_sfm.benchmarks.splats.render import renderer_name
from vggt_sfm.benchmarks.splats.rows import (
    DRAWN,
    PHOTOGRAPHED,
    Log,
    Row,
    Settings,
    gains,
    held_out_psnr,
    measure,
    picture_file,
    scored,
    table,
)
from vggt_sfm.benchmarks.splats.scene import EVERY
from vggt_sfm.benchmarks.splats.train import TrainConfig
from vggt_sfm.errors import GateError

LEAST_LOSS_DB = 0.5  # what a control has to lose; half a degree lost 0.9 to 2.7
_FOLDS = range(EVERY)
_OF_CONTROLS = 4  # the fold in which they are measured, far from the ends of a short capture
_STRIP = 16  # px above a picture, for its title


def picture(rows: Sequence[Row], scene: str, folder: Path) -> Image.Image | None:
    """Put one held-out view side by side: photographed, then as the cameras of each way draw it.

    Args:
        rows: Of one set of settings.
        scene: Whose.
        folder: With the drawn views of the scene.

    Returns:
        None if no view was registered by every way, or its pictures are gone.
    """
    found = {r.way: r for r in rows if (r.scene, r.fold) == (scene, _OF_CONTROLS) and r.test}
    views = (
        [v for v in held_out_psnr(rows, scene, ADJUSTED) if v in found[ADJUSTED].test]
        if set(COMPARED) <= set(found)
        else []
    )
    if not views:
        return None
    view = views[len(views) // 2]
    files = {"photograph": picture_file(folder, ADJUSTED, _OF_CONTROLS, view, PHOTOGRAPHED)}
    for way in COMPARED:
        files[f"{way}, {found[way].test[view]:.1f} dB"] = picture_file(
            folder, way, _OF_CONTROLS, view, DRAWN
        )
    if not all(path.exists() for path in files.values()):
        return None
    parts = []
    for path in files.values():
        with Image.open(path) as file:
            parts.append(file.copy())
    width, height = parts[0].size
    whole = Image.new("RGB", (width * len(parts), height + _STRIP), "white")
    draw = ImageDraw.Draw(whole)
    for place, (title, part) in enumerate(zip(files, parts, strict=True)):
        whole.paste(part, (place * width, _STRIP))
        draw.text((place * width + 3, 2), title, fill="black")
    return whole


def check_controls(rows: Sequence[Row]) -> None:
    """Refuse figures that do not notice wrong cameras.

    Raises:
        GateError: If turning the adjusted cameras of a scene costs too little.
    """
    blind = []
    for scene in dict.fromkeys(row.scene for row in rows):
        for way in TURNED:
            lost = [-gain for gain in gains(rows, scene, way, ADJUSTED)]
            if lost and np.mean(lost) < LEAST_LOSS_DB:
                blind.append(f"{scene}: {way}: {np.mean(lost):.2f} dB")
    if blind:
        raise GateError(f"loses less than {LEAST_LOSS_DB} dB: " + "; ".join(blind))


def run_scene(
    photographs: dict[str, Path], folder: Path, log: Log, settings: Settings, fold: int
) -> None:
    """Measure what the log has not got yet of a scene and a fold; the folder has its name."""
    if not scored(list(photographs), fold):
        return
    for way in WAYS if fold == _OF_CONTROLS else COMPARED:
        if log.find(folder.name, way, fold) is not None:
            continue
        row = measure(
            cameras_of(way, folder),
            photographs,
            settings,
            scene=folder.name,
            way=way,
            fold=fold,
            pictures=folder / settings.key,
        )
        log.add(row)
        click.echo(f"{row.scene}, {way}, fold {fold}: {row.test} {row.seconds:.0f} s", err=True)


@click.command()
@click.argument("scenes", nargs=-1, type=click.Choice(list(SCENES)))
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@output_option
@click.option(
    "--fold",
    "folds",
    type=click.IntRange(0, EVERY - 1),
    multiple=True,
    help=f"First view that is held out, of every {EVERY}.  [default: all of them]",
)
@click.option(
    "--long-side",
    type=click.IntRange(min=16),
    default=Settings().long_side,
    show_default=True,
    help="Of the photographs, px.",
)
@click.option(
    "--gaussians", type=click.IntRange(min=1), default=TrainConfig().gaussians, show_default=True
)
@click.option(
    "--iterations", type=click.IntRange(min=1), default=TrainConfig().iterations, show_default=True
)
@threads_option
def main(
    scenes: tuple[str, ...],
    data: Path,
    output: Path,
    folds: tuple[int, ...],
    long_side: int,
    gaussians: int,
    iterations: int,
    threads: int,
) -> None:
    """Measure scenes; rows go to OUTPUT/rows.jsonl, the table to OUTPUT/table.md."""
    quiet()
    use_threads(threads)
    output.mkdir(parents=True, exist_ok=True)
    training = TrainConfig(gaussians=gaussians, iterations=iterations)
    settings = Settings(long_side=long_side, training=training, renderer=renderer_name())
    log = Log(output / "rows.jsonl", settings)
    chosen = {
        scene: photographs_of(data, scene, SCENES[scene], output / scene)
        for scene in scenes or SCENES
    }
    for scene in chosen:
        for way in WAYS:
            cameras_of(way, output / scene)  # kept there: all models before any training
    for scene, photographs in chosen.items():
        for fold in folds or _FOLDS:
            run_scene(photographs, output / scene, log, settings, fold)
    for scene in chosen:
        shown = picture(log.rows, scene, output / scene / settings.key)
        if shown is not None:
            shown.save(output / f"{scene}.png")
    text = table(log.rows)
    (output / "table.md").write_text(text + "\n")
    click.echo(text)
    try:
        check_controls(log.rows)
    except GateError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from error


if __name__ == "__main__":
    main()
