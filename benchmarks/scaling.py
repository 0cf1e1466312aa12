"""What more compute buys the embedded model: sizes of the backbone, trained for ever longer.

``python -m vggt_sfm.benchmarks.scaling POOL --data ../shared/data -o build/scaling``
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch

from vggt_sfm._log import get_logger
from vggt_sfm.benchmarks.scaling_measures import held_out_loss, photograph_auc, step_flops
from vggt_sfm.benchmarks.scaling_report import report
from vggt_sfm.models.tiny.model import TinyModel
from vggt_sfm.models.tiny.network import TinyBackbone
from vggt_sfm.training.checkpoints import load_weights
from vggt_sfm.training.loop import train
from vggt_sfm.training.pool import load_shards
from vggt_sfm.training.shards import ShardSource
from vggt_sfm.training.tiny import COARSE_ONLY, SIZES, matcher_objective, matcher_plan

_log = get_logger(__name__)
_RATE = 1e-3
_HALVINGS = 4  # of the number of steps at which a run is measured, too
_NO_DECAY = 1e-9
RESULTS = "points.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A size after some training."""

    size: str
    parameters: int
    steps: int
    flops: float
    """Of all steps, forward and backward."""
    loss: float
    """On held-out rendered pairs."""
    auc_30: float
    """Of poses from the matches of photographs, percent; intrinsics given."""


def measure(
    size: str, pool: Path, data: Path, output: Path, steps: int, known: Collection[int] = ()
) -> Iterator[Point]:
    """Train one size, and measure its averaged weights after ever longer training.

    Args:
        size: One of ``SIZES``.
        pool: Rendered scenes.
        data: Photographs.
        output: Where the training is kept.
        steps: Of the longest run.
        known: Numbers of steps after which it was measured before.
    """
    torch.manual_seed(0)
    config = replace(SIZES[size], context_pairs=0)
    model = TinyBackbone(config)
    flops = step_flops(model)
    # constant rate: every stretch of the run is a run of its own
    plan = replace(matcher_plan(steps, _RATE, seed=0), decay_share=_NO_DECAY)
    lengths = [max(1, steps >> halvings) for halvings in range(_HALVINGS, -1, -1)]
    for length in lengths:
        if length in known:
            continue
        part = replace(plan, steps=length)
        objective = matcher_objective(model, fine_from=min(COARSE_ONLY, steps >> _HALVINGS))
        train(model, objective, ShardSource(pool, plan.seed, load_shards), output / size, part)
        averaged = TinyModel(config).eval()
        averaged.backbone.load_state_dict(load_weights(output / size)[0])
        yield Point(
            size=size,
            parameters=sum(p.numel() for p in model.parameters()),
            steps=part.steps,
            flops=flops * part.steps,
            loss=round(held_out_loss(averaged.backbone, pool), 4),
            auc_30=round(photograph_auc(averaged, data), 2),
        )


def read_points(path: Path) -> list[Point]:
    """Return the points that were measured before; none if there is no file."""
    if not path.exists():
        return []
    return [Point(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


@click.command()
@click.argument("pool", type=click.Path(path_type=Path, exists=True))
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("build/scaling"))
@click.option("--steps", default=1200, show_default=True, help="Of the longest run of each size.")
@click.option("--size", "sizes", multiple=True, type=click.Choice(list(SIZES)), help="Repeatable.")
@click.option("--threads", type=int, help="Of torch; all by default.")
def main(
    pool: Path, data: Path, output: Path, steps: int, sizes: tuple[str, ...], threads: int | None
) -> None:
    """Train, measure, fit and plot; what was measured before is not measured again."""
    if threads:
        torch.set_num_threads(threads)
    output.mkdir(parents=True, exist_ok=True)
    points = read_points(output / RESULTS)
    for size in sizes or SIZES:
        known = [p.steps for p in points if p.size == size]
        for point in measure(size, pool, data, output, steps, known):
            _log.warning("%s", point)
            points.append(point)
            lines = "".join(json.dumps(asdict(p)) + "\n" for p in points)
            (output / RESULTS).write_text(lines, encoding="utf-8")
    if np.unique([p.flops for p in points]).size > 2:
        click.echo(report(points, output))


if __name__ == "__main__":
    main()
