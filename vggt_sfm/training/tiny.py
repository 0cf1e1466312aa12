"""Train the embedded model: ``python -m vggt_sfm.training.tiny matcher|depth POOL …``."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch

from vggt_sfm.models.tiny.depth_head import DepthHead
from vggt_sfm.models.tiny.network import TinyBackbone, TinyConfig
from vggt_sfm.training.depth import depth_loss, draw_scene, simulate_matches
from vggt_sfm.training.loop import Loss, Plan, load_average, train
from vggt_sfm.training.matching import matching_loss
from vggt_sfm.training.pairs import draw_pairs
from vggt_sfm.training.pool import Shard

COARSE_ONLY = 400  # steps before the fine loss joins
FINE_POINTS = 96
SCENES_A_STEP = 2


def train_matcher(pool: Path, checkpoint: Path, plan: Plan, *, pairs: int, side: int) -> None:
    """Train the backbone on rendered pairs."""
    torch.manual_seed(plan.seed)
    model = TinyBackbone(TinyConfig())

    def loss_of(data: Shard, rng: np.random.Generator, step: int) -> Loss:
        batch = draw_pairs(data, pairs, side, rng)
        loss = matching_loss(model, batch, fine_points=FINE_POINTS if step >= COARSE_ONLY else 0)
        return loss.total, {
            "coarse": round(loss.coarse, 4),
            "fine": round(loss.fine, 4),
            "within_1px": round(loss.within_1px, 4),
            "median_px": round(loss.median_px, 3),
        }

    train(model, loss_of, pool, checkpoint, plan)


def train_depth(pool: Path, matcher: Path, checkpoint: Path, plan: Plan) -> None:
    """Train the depth head on the frozen backbone of a matcher checkpoint."""
    backbone = TinyBackbone(TinyConfig()).eval()
    backbone.load_state_dict(load_average(matcher)[0])
    torch.manual_seed(plan.seed)
    head = DepthHead(TinyConfig().coarse)

    def loss_of(data: Shard, rng: np.random.Generator, step: int) -> Loss:
        losses, errors = [], []
        for _ in range(SCENES_A_STEP):
            image, depth = draw_scene(data, rng)
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                lateral = backbone(image).lateral
            loss, error = depth_loss(head, lateral.float(), depth, simulate_matches(depth, rng))
            losses.append(loss)
            errors.append(error)
        return torch.stack(losses).mean(), {"log_depth_error": round(float(np.mean(errors)), 4)}

    train(head, loss_of, pool, checkpoint, plan)


@click.group()
def main() -> None:
    """Train the parts of the embedded model."""
    torch.set_num_threads(1)


@main.command("matcher")
@click.argument("pool", type=click.Path(path_type=Path, exists=True))
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--steps", default=5200, show_default=True)
@click.option("--pairs", default=8, show_default=True, help="Pairs a step.")
@click.option("--side", default=128, show_default=True, help="Training resolution, px.")
@click.option("--rate", default=1.5e-3, show_default=True)
@click.option("--seed", default=0, show_default=True)
def matcher_command(
    pool: Path, checkpoint: Path, steps: int, pairs: int, side: int, rate: float, seed: int
) -> None:
    """Train the backbone to match."""
    plan = Plan(steps=steps, peak_rate=rate, seed=seed)
    train_matcher(pool, checkpoint, plan, pairs=pairs, side=side)


@main.command("depth")
@click.argument("pool", type=click.Path(path_type=Path, exists=True))
@click.argument("matcher", type=click.Path(path_type=Path, exists=True))
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--steps", default=1200, show_default=True)
@click.option("--rate", default=1e-3, show_default=True)
@click.option("--seed", default=0, show_default=True)
def depth_command(
    pool: Path, matcher: Path, checkpoint: Path, steps: int, rate: float, seed: int
) -> None:
    """Train the depth head."""
    train_depth(pool, matcher, checkpoint, Plan(steps=steps, peak_rate=rate, seed=seed))


if __name__ == "__main__":
    main()
