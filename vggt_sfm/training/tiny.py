"""Train the embedded model: ``python -m vggt_sfm.training.tiny matcher|depth POOL … FOLDER``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch

from vggt_sfm.models.tiny.depth_head import DepthHead
from vggt_sfm.models.tiny.network import TinyBackbone, TinyConfig
from vggt_sfm.training.checkpoints import load_weights
from vggt_sfm.training.depth import depth_loss, draw_scene, simulate_matches
from vggt_sfm.training.loop import Loss, train
from vggt_sfm.training.matching import matching_loss
from vggt_sfm.training.pairs import draw_pairs
from vggt_sfm.training.plan import Plan
from vggt_sfm.training.pool import Shard
from vggt_sfm.training.shards import ShardSource

COARSE_ONLY = 400  # steps before the fine loss joins
FINE_POINTS = 96
SCENES_A_STEP = 2
DECAY_SHARE = 0.4  # a run can be made longer until then


def train_matcher(pool: Path, folder: Path, plan: Plan, *, pairs: int, side: int) -> None:
    """Train the backbone on rendered pairs."""
    torch.manual_seed(plan.seed)
    model = TinyBackbone(TinyConfig())

    def objective(data: Shard, rng: np.random.Generator, step: int) -> Iterator[Loss]:
        batch = draw_pairs(data, pairs, side, rng)
        loss = matching_loss(model, batch, fine_points=FINE_POINTS if step >= COARSE_ONLY else 0)
        yield Loss(
            loss.total,
            {
                "coarse": loss.coarse,
                "fine": loss.fine,
                "within_1px": loss.within_1px,
                "median_px": loss.median_px,
            },
        )

    train(model, objective, ShardSource(pool, plan.seed), folder, plan)


def train_depth(pool: Path, matcher: Path, folder: Path, plan: Plan) -> None:
    """Train the depth head on the frozen backbone of a matcher's run."""
    backbone = TinyBackbone(TinyConfig()).eval()
    backbone.load_state_dict(load_weights(matcher)[0])
    torch.manual_seed(plan.seed)
    head = DepthHead(TinyConfig().coarse)

    def objective(data: Shard, rng: np.random.Generator, step: int) -> Iterator[Loss]:
        for _ in range(SCENES_A_STEP):
            image, depth = draw_scene(data, rng)
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                lateral = backbone(image).lateral
            loss, error = depth_loss(head, lateral.float(), depth, simulate_matches(depth, rng))
            yield Loss(loss / SCENES_A_STEP, {"log_depth_error": error / SCENES_A_STEP})

    train(head, objective, ShardSource(pool, plan.seed), folder, plan)


@click.group()
def main() -> None:
    """Train the parts of the embedded model."""
    torch.set_num_threads(1)


@main.command("matcher")
@click.argument("pool", type=click.Path(path_type=Path, exists=True))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--steps", default=5200, show_default=True)
@click.option("--pairs", default=8, show_default=True, help="Pairs a step.")
@click.option("--side", default=128, show_default=True, help="Training resolution, px.")
@click.option("--rate", default=1.5e-3, show_default=True)
@click.option("--seed", default=0, show_default=True)
def matcher_command(
    pool: Path, folder: Path, steps: int, pairs: int, side: int, rate: float, seed: int
) -> None:
    """Train the backbone to match."""
    plan = Plan(steps=steps, peak_rate=rate, seed=seed, decay_share=DECAY_SHARE)
    train_matcher(pool, folder, plan, pairs=pairs, side=side)


@main.command("depth")
@click.argument("pool", type=click.Path(path_type=Path, exists=True))
@click.argument("matcher", type=click.Path(path_type=Path, exists=True))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--steps", default=1200, show_default=True)
@click.option("--rate", default=1e-3, show_default=True)
@click.option("--seed", default=0, show_default=True)
def depth_command(
    pool: Path, matcher: Path, folder: Path, steps: int, rate: float, seed: int
) -> None:
    """Train the depth head."""
    plan = Plan(steps=steps, peak_rate=rate, seed=seed, decay_share=DECAY_SHARE)
    train_depth(pool, matcher, folder, plan)


if __name__ == "__main__":
    main()
