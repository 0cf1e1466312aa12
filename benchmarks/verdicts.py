"""Is the report's verdict right? Verdicts beside errors of cameras whose truth is known.

``python -m vggt_sfm.benchmarks.verdicts --data ROOT -o RESULTS``

ROOT holds scenes as ``vggt-sfm bench poses`` takes them. Runs that are there are not done again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import click
import numpy as np

from vggt_sfm import ReconstructConfig, VggtSfmError, reconstruct
from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.bench.measure import link_in_order
from vggt_sfm.benchmarks.colmap_run import quiet
from vggt_sfm.benchmarks.datasets.bags import Bag
from vggt_sfm.benchmarks.datasets.folders import Folders
from vggt_sfm.benchmarks.options import output_option, threads_option, use_threads
from vggt_sfm.benchmarks.scores import area, errors_of, stacked
from vggt_sfm.inference import Predictor, open_predictor
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.io.plain import from_plain
from vggt_sfm.report.facts import Level, Report
from vggt_sfm.report.page import DATA_FILE

_GOOD_AREA = 60.0
"""A scene with a smaller exact AUC@5, percent, has cameras that splats would show."""
_LOST_AREA = 80.0
"""A scene with a smaller exact AUC@30, percent, has cameras in wrong places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A scene, its verdict and the truth."""

    scene: str
    level: Level
    words: str
    auc5: float
    """Exact, percent."""
    auc30: float


def judge_scene(
    root: Path, bag: Bag, dataset: Folders, predictor: Predictor, output: Path
) -> Judged | None:
    """Reconstruct a scene and compare; None where there is no truth."""
    truth = dataset.truth(bag)
    if truth is None:
        return None
    folder = output / bag.name.replace("/", "-")
    images = folder / "images"
    if not images.is_dir():
        link_in_order([root / image for image in bag.images], images)
    names = sorted(path.name for path in images.iterdir())
    try:
        result = reconstruct(images, folder / "out", ReconstructConfig(), predictor=predictor)
        poses = poses_by_name(result.reconstruction())
    except VggtSfmError as error:
        click.echo(f"{bag.name}: {error}", err=True)
        poses = {}
    plain = json.loads((folder / "out" / DATA_FILE).read_text(encoding="utf-8"))
    verdict = from_plain(Report, plain).verdict
    errors = errors_of(stacked(poses, names), truth.cam_from_world)
    return Judged(
        scene=bag.name,
        level=verdict.level,
        words=verdict.words,
        auc5=area(errors, "auc_exact", 5),
        auc30=area(errors, "auc_exact", 30),
    )


def table(judged: Sequence[Judged]) -> str:
    """Write what the verdicts are worth."""
    rows = []
    for level in get_args(Level):
        mine = [each for each in judged if each.level == level]
        if mine:
            areas = np.array([[each.auc5, each.auc30] for each in mine])
            rows.append(
                [
                    level,
                    str(len(mine)),
                    *(f"{value:.1f}" for value in areas.mean(axis=0)),
                    f"{(areas[:, 0] < _GOOD_AREA).sum()}",
                    f"{(areas[:, 1] < _LOST_AREA).sum()}",
                ]
            )
    titles = ["verdict", "scenes", "AUC@5", "AUC@30"]
    return markdown.table([*titles, f"@5 < {_GOOD_AREA:g}", f"@30 < {_LOST_AREA:g}"], rows)


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True
)
@output_option
@threads_option
def main(data: Path, output: Path, threads: int) -> None:
    """Judge all scenes and print a table; OUTPUT/verdicts.json has each scene."""
    quiet()
    use_threads(threads)
    output = output.absolute()
    dataset = Folders(data.absolute())
    predictor = open_predictor(ReconstructConfig().predict, keep=True)
    judged = []
    for bag in dataset.bags(np.random.default_rng(0)):
        each = judge_scene(data.absolute(), bag, dataset, predictor, output)
        if each is not None:
            judged.append(each)
            click.echo(f"{each.scene}: {each.auc5:.1f}/{each.auc30:.1f} {each.words}", err=True)
    content = json.dumps([asdict(each) for each in judged], indent=1)
    (output / "verdicts.json").write_text(content + "\n", encoding="utf-8")
    click.echo(table(judged))


if __name__ == "__main__":
    main()
