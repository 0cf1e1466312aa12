"""Train the embedded model, part by part: ``python -m vggt_sfm.training.tiny matcher POOL …``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import torch

from vggt_sfm.models.choice import Device
from vggt_sfm.models.tiny.context import PairContext
from vggt_sfm.models.tiny.depth_head import DepthHead
from vggt_sfm.models.tiny.model import TinyModel
from vggt_sfm.models.tiny.network import TinyBackbone, TinyConfig
from vggt_sfm.training.checkpoints import load_weights
from vggt_sfm.training.commands import one_line_errors, training_on
from vggt_sfm.training.context import begin_like, context_objective
from vggt_sfm.training.depth import depth_loss, simulated_scene, solved_scene
from vggt_sfm.training.loop import Loss, Objective, train
from vggt_sfm.training.matching import matching_loss
from vggt_sfm.training.pairs import draw_pairs
from vggt_sfm.training.plan import Plan
from vggt_sfm.training.pool import Shard, load_shards
from vggt_sfm.training.shards import ShardSource
from vggt_sfm.training.solved import SolvedPool, load_solved_pool, solve_pool

SIZES: Final = {
    "small": TinyConfig(
        stem=16,
        mid=32,
        coarse=80,
        deep=112,
        coarse_blocks=2,
        deep_blocks=2,
        context_pairs=0,
    ),
    "medium": TinyConfig(
        stem=24, mid=48, coarse=112, deep=160, coarse_blocks=2, deep_blocks=3, context_pairs=0
    ),
    "full": TinyConfig(),
}
"""Backbones by name; the full one is shipped, the others show what size is worth."""
BATCHES: Final = ((128, 8), (176, 4), (256, 2))
"""Sides, px, and numbers of pairs: steps of about equal cost at one resolution each."""
COARSE_ONLY = 400  # steps before the fine loss joins, when training starts from nothing
FINE_POINTS = 96
SCENES_A_STEP = 2
SIMULATED_SHARE = 0.3  # of the scenes that depth is learned from
MATCHER_DECAY, DEPTH_DECAY = 0.5, 0.4  # a run can be made longer until then
MUON_TIMES = 10.0  # Muon's rate is this many times AdamW's

_Command = Callable[..., Any]  # what click decorates has any signature


def matcher_objective(model: TinyBackbone, *, fine_from: int) -> Objective[Shard]:
    """Return the losses of one batch of rendered pairs, of one of several sizes.

    Args:
        model: The backbone being trained.
        fine_from: First step with the fine loss.
    """

    def objective(data: Shard, rng: np.random.Generator, step: int) -> Iterator[Loss]:
        side, pairs = BATCHES[rng.integers(len(BATCHES))]
        batch = draw_pairs(data, pairs, side, rng, next(model.parameters()).device)
        loss = matching_loss(model, batch, fine_points=FINE_POINTS if step >= fine_from else 0)
        yield Loss(
            loss.total,
            {
                "coarse": loss.coarse,
                "fine": loss.fine,
                "within_1px": loss.within_1px,
                "median_px": loss.median_px,
            },
        )

    return objective


def matcher_plan(steps: int, rate: float, seed: int) -> Plan:
    """Return how matchers are trained."""
    return Plan(
        steps=steps,
        peak_rate=rate,
        muon_rate=MUON_TIMES * rate,
        seed=seed,
        decay_share=MATCHER_DECAY,
        average=0.998,
    )


def train_matcher(
    pool: Path, folder: Path, plan: Plan, *, start: Path | None, device: torch.device
) -> None:
    """Train the full backbone on rendered pairs, from nothing or from packaged weights."""
    torch.manual_seed(plan.seed)
    model = TinyBackbone(SIZES["full"]).to(device)
    if start is not None:
        model.load_state_dict(TinyModel.load(start, device).backbone.state_dict())
    objective = matcher_objective(model, fine_from=COARSE_ONLY if start is None else 0)
    train(model, objective, ShardSource(pool, plan.seed, load_shards), folder, plan)


def train_context(
    pool: Path,
    matcher: Path,
    folder: Path,
    plan: Plan,
    *,
    start: Path | None,
    device: torch.device,
) -> None:
    """Train what two views tell each other on the frozen backbone of a matcher's run."""
    backbone = frozen_backbone(matcher, device)
    torch.manual_seed(plan.seed)
    context = PairContext(SIZES["full"]).to(device)
    started = None if start is None else TinyModel.load(start, device).context
    if started is None:
        begin_like(context, backbone)
    else:
        context.load_state_dict(started.state_dict())
    objective = context_objective(context, backbone, BATCHES)
    train(context, objective, ShardSource(pool, plan.seed, load_shards), folder, plan)


def frozen_backbone(matcher: Path, device: torch.device) -> TinyBackbone:
    """Return the backbone of a matcher's run."""
    backbone = TinyBackbone(SIZES["full"]).to(device).eval().requires_grad_(False)
    backbone.load_state_dict(load_weights(matcher)[0])
    return backbone


def load_parts(model: TinyModel, **folders: Path) -> dict[str, dict[str, float]]:
    """Give parts of a model the averaged weights of their runs; return the runs' numbers."""
    runs = {}
    for name, folder in folders.items():
        weights, runs[name] = load_weights(folder)
        model.get_submodule(name).load_state_dict(weights)
    return runs


def train_depth(
    pool: Path,
    matcher: Path,
    folder: Path,
    plan: Plan,
    *,
    start: Path | None,
    device: torch.device,
) -> None:
    """Train the depth head on the frozen backbone of a matcher's run."""
    backbone = frozen_backbone(matcher, device)
    torch.manual_seed(plan.seed)
    head = DepthHead(SIZES["full"].coarse).to(device)
    if start is not None:
        head.load_state_dict(TinyModel.load(start, device).depth_head.state_dict())

    def objective(data: SolvedPool, rng: np.random.Generator, step: int) -> Iterator[Loss]:
        for _ in range(SCENES_A_STEP):
            shard, solved = data[rng.integers(len(data))]
            if rng.random() < SIMULATED_SHARE:
                given = simulated_scene(backbone, shard, rng)
            else:
                given = solved_scene(backbone, shard, solved, rng)
            loss, errors = depth_loss(head, given)
            yield Loss(
                loss / SCENES_A_STEP, {"log_depth_error": float(errors.median()) / SCENES_A_STEP}
            )

    train(head, objective, ShardSource(pool, plan.seed, load_solved_pool), folder, plan)


@click.group()
def main() -> None:
    """Train the parts of the embedded model."""


_POOL = click.argument("pool", type=click.Path(path_type=Path, exists=True))
_MATCHER = click.argument("matcher", type=click.Path(path_type=Path, exists=True))
_FOLDER = click.argument("folder", type=click.Path(path_type=Path))


def _options(steps: int, rate: float) -> Callable[[_Command], _Command]:
    """Options of a part's training, with its defaults."""

    def decorate(command: _Command) -> _Command:
        for option in (
            click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto"),
            click.option("--seed", default=0, show_default=True),
            click.option(
                "--start",
                type=click.Path(path_type=Path, exists=True),
                help="Weights to begin with: a tiny.safetensors with its .json.",
            ),
            click.option(
                "--rate",
                default=rate,
                show_default=True,
                help=f"Of AdamW; Muon's is {MUON_TIMES:g} times it.",
            ),
            click.option("--steps", default=steps, show_default=True),
        ):
            command = option(command)
        return command

    return decorate


@main.command("matcher")
@_POOL
@_FOLDER
@_options(steps=3000, rate=4e-4)
def matcher_command(
    pool: Path, folder: Path, steps: int, rate: float, start: Path | None, seed: int, device: Device
) -> None:
    """Train the backbone to match, or go on with a run."""
    plan = matcher_plan(steps, rate, seed)
    with training_on(device) as place:
        train_matcher(pool, folder, plan, start=start, device=place)


@main.command("context")
@_POOL
@_MATCHER
@_FOLDER
@_options(steps=2500, rate=4e-4)
def context_command(
    pool: Path,
    matcher: Path,
    folder: Path,
    steps: int,
    rate: float,
    start: Path | None,
    seed: int,
    device: Device,
) -> None:
    """Train what two views tell each other on a matcher's features, or go on with a run."""
    plan = matcher_plan(steps, rate, seed)
    with training_on(device) as place:
        train_context(pool, matcher, folder, plan, start=start, device=place)


@main.command("solve")
@_POOL
@_MATCHER
@click.argument("context", type=click.Path(path_type=Path, exists=True))
def solve_command(pool: Path, matcher: Path, context: Path) -> None:
    """Solve a pool's scenes for cameras and sparse depth.

    What was solved is kept, whatever weights it was solved with: POOL/solved-*.npz.
    """
    with one_line_errors():
        model = TinyModel(SIZES["full"])
        load_parts(model, backbone=matcher, context=context)
        solve_pool(model.eval(), pool)


@main.command("depth")
@_POOL
@_MATCHER
@_FOLDER
@_options(steps=1500, rate=1e-3)
def depth_command(
    pool: Path,
    matcher: Path,
    folder: Path,
    steps: int,
    rate: float,
    start: Path | None,
    seed: int,
    device: Device,
) -> None:
    """Train the depth head on a matcher's features, or go on with a run."""
    plan = Plan(
        steps=steps,
        peak_rate=rate,
        muon_rate=MUON_TIMES * rate,
        seed=seed,
        decay_share=DEPTH_DECAY,
    )
    with training_on(device) as place:
        train_depth(pool, matcher, folder, plan, start=start, device=place)


if __name__ == "__main__":
    main()
