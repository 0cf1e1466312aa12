"""Position tables, rotations and the camera encoding against their goldens."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from golden_tools import PIECE_TOLERANCE, Goldens

from vggt_sfm.models import VGGT
from vggt_sfm.models.aggregator import DinoEncoder
from vggt_sfm.models.heads.dense import axis_coordinates, position_embedding
from vggt_sfm.models.layers import grid_positions, rope

UV_ASPECT = 518 / 392


@pytest.mark.parametrize("name", ["h5_w7", "h28_w37", "h37_w37", "h40_w43", "h37_w28"])
def test_encoder_position_table(name: str, small_goldens: Goldens, small_model: VGGT) -> None:
    rows, columns = map(int, re.findall(r"\d+", name))
    encoder = small_model.aggregator.patch_embed
    assert isinstance(encoder, DinoEncoder)
    table = encoder.position_table(rows, columns).detach().numpy()
    assert small_goldens.difference(f"posembed.{name}", table) <= PIECE_TOLERANCE


def test_encoder_position_table_is_itself_at_its_own_size(small_model: VGGT) -> None:
    encoder = small_model.aggregator.patch_embed
    assert isinstance(encoder, DinoEncoder)
    assert encoder.position_table(37, 37) is encoder.pos_embed


def test_grid_positions(small_goldens: Goldens) -> None:
    assert np.array_equal(grid_positions(3, 4), small_goldens.arrays["pos.grid_3x4_yx"][0])


def test_rope(small_goldens: Goldens) -> None:
    positions = torch.from_numpy(small_goldens.arrays["rope.positions_yx"][0])
    heads = torch.from_numpy(small_goldens.arrays["rope.in"])
    turned = rope(positions, heads.shape[-1]).rotate(heads)
    assert small_goldens.difference("rope.out", turned.numpy()) <= PIECE_TOLERANCE


def test_rope_repeats_for_every_frame(rng: np.random.Generator) -> None:
    table = rope(grid_positions(2, 3), 8)
    frames = torch.from_numpy(rng.standard_normal((1, 2, 4, 6, 8)))  # (B, heads, S, P, D)
    together = table.rotate(frames.flatten(2, 3))
    apart = torch.stack([table.rotate(frames[:, :, s]) for s in range(4)], dim=2)
    assert torch.equal(together, apart.flatten(2, 3))


def test_rope_only_sees_differences_of_position(rng: np.random.Generator) -> None:
    q, k = torch.from_numpy(rng.standard_normal((2, 1, 32)))
    here, there = torch.tensor([[3, 5]]), torch.tensor([[9, 1]])
    products = [
        (rope(here + shift, 32).rotate(q) * rope(there + shift, 32).rotate(k)).sum()
        for shift in (0, 7)
    ]
    assert products[0].item() == pytest.approx(products[1].item(), abs=1e-5)  # float32 tables


def test_dense_position_embedding(small_goldens: Goldens) -> None:
    diagonal = np.hypot(UV_ASPECT, 1)
    x, y = axis_coordinates(6, UV_ASPECT / diagonal), axis_coordinates(4, 1 / diagonal)
    uv = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    assert small_goldens.difference("dpt.uv_w6_h4", uv.numpy()) <= PIECE_TOLERANCE
    embedding = position_embedding(torch.empty(1, 16, 4, 6), UV_ASPECT).permute(1, 2, 0)
    name = "dpt.uv_embed16_w6_h4"
    assert small_goldens.difference(name, embedding.numpy()) <= PIECE_TOLERANCE
