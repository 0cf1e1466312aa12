"""What the depth head is given of a scene, and its loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vggt_sfm.models.tiny.depth_head import DepthHead
from vggt_sfm.models.tiny.network import TinyBackbone, TinyConfig
from vggt_sfm.training.depth import depth_loss, simulated_scene, solved_scene
from vggt_sfm.training.pool import Shard, render_shard
from vggt_sfm.training.solved import SolvedShard
from vggt_sfm.training.textures import TextureBank, procedural_textures

SMALL = TinyConfig(stem=8, mid=8, coarse=16, deep=16, coarse_blocks=1, deep_blocks=1)
SIDE, CELL = 64, 16


@pytest.fixture(scope="module")
def shard() -> Shard:
    bank = TextureBank(procedural_textures(6, np.random.default_rng(0)))
    return render_shard(bank, scenes=2, views=3, side=SIDE, seed=5)


@pytest.fixture(scope="module")
def backbone() -> TinyBackbone:
    torch.manual_seed(0)
    return TinyBackbone(SMALL).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def head() -> DepthHead:
    torch.manual_seed(1)
    head = DepthHead(SMALL.coarse, width=32, pairs=1)
    torch.nn.init.normal_(head.leave.weight, std=0.1)
    torch.nn.init.normal_(head.enter_sweep[-1].weight, std=0.1)
    return head


@pytest.fixture(scope="module")
def solved(shard: Shard) -> SolvedShard:
    """The truth, of the first two views, in a unit of its own."""
    centers = shard.depth[:, :, CELL // 2 :: CELL, CELL // 2 :: CELL].astype(np.float32)
    poses = shard.cam_from_world.astype(np.float32)
    return SolvedShard(
        views=np.tile([0, 1, -1], (2, 1)),
        sparse=np.where(centers > 0, centers, np.nan),
        cam_from_world=poses,
        intrinsics=shard.intrinsics.astype(np.float32),
        links=np.ones((2, 3, 3), np.float32),
    )


def test_what_was_solved_stays_with_its_picture(
    backbone: TinyBackbone, shard: Shard, solved: SolvedShard
) -> None:
    """Also where the scene is mirrored, which half of the seeds do."""
    for seed in range(6):
        given = solved_scene(backbone, shard, solved, np.random.default_rng(seed))
        depth = given.depth[:, CELL // 2 :: CELL, CELL // 2 :: CELL]
        # of the four pixels around a cell's centre, a mirrored one takes another
        other = given.depth[:, CELL // 2 :: CELL, CELL // 2 - 1 :: CELL]
        known = torch.isfinite(given.sparse) & (depth > 0) & (other > 0)
        error = torch.minimum(
            (depth.log() - given.sparse).abs(), (other.log() - given.sparse).abs()
        )
        assert given.sparse.shape == (2, SIDE // CELL, SIDE // CELL)
        assert float(error[known].max()) < 1e-3
        assert bool((given.alike != 0).any())


def test_a_scene_that_was_solved_may_have_any_unit(
    backbone: TinyBackbone, shard: Shard, solved: SolvedShard, head: DepthHead
) -> None:
    larger = solved.cam_from_world.copy()
    larger[..., 3] *= 3
    scaled = replace(solved, sparse=solved.sparse * 3, cam_from_world=larger)
    losses = [
        depth_loss(head, solved_scene(backbone, shard, each, np.random.default_rng(2)))[0]
        for each in (solved, scaled)
    ]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-4, rtol=1e-4)


def test_a_simulated_scene_has_the_unit_of_the_truth_and_no_sweep(
    backbone: TinyBackbone, shard: Shard, head: DepthHead
) -> None:
    scenes = [simulated_scene(backbone, shard, np.random.default_rng(s)) for s in range(8)]
    anchored = next(given for given in scenes if given.anchored and len(given.depth) > 1)
    assert bool((anchored.alike == 0).all())
    moved = anchored._replace(sparse=anchored.sparse + 1.0)
    with torch.no_grad():
        loss, off = (float(depth_loss(head, given)[0]) for given in (anchored, moved))
    assert off > loss + 0.1


def test_the_loss_leads_to_the_sweep(
    backbone: TinyBackbone, shard: Shard, solved: SolvedShard, head: DepthHead
) -> None:
    loss, errors = depth_loss(head, solved_scene(backbone, shard, solved, np.random.default_rng(0)))
    loss.backward()
    gradient = head.enter_sweep[0].weight.grad
    assert gradient is not None
    assert float(gradient.abs().max()) > 0
    assert bool(torch.isfinite(errors).all())
