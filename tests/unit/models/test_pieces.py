"""Position tables, rotations and embeddings against their goldens, and what these leave open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vggt_sfm.benchmarks.golden_pieces import INPUTS, LEFT_OUT, all_matches
from vggt_sfm.benchmarks.goldens import CASES, Goldens
from vggt_sfm.models import VGGT
from vggt_sfm.models.aggregator import DinoEncoder
from vggt_sfm.models.layers import grid_positions, rope


def test_every_piece_is_the_reference_s(
    golden_dir: Path, small_goldens: Goldens, small_model: VGGT
) -> None:
    matches = all_matches(small_goldens, golden_dir, small_model)
    assert [match for match in matches if not match.within] == []
    compared = {match.name for match in matches}
    elsewhere = ("prep.", *(case.prefix for case in CASES.values() if case.prefix))
    there = {name for name in small_goldens.arrays if not name.startswith(elsewhere)}
    assert there - compared == INPUTS | LEFT_OUT


def test_encoder_position_table_is_itself_at_its_own_size(small_model: VGGT) -> None:
    encoder = small_model.aggregator.patch_embed
    assert isinstance(encoder, DinoEncoder)
    assert encoder.position_table(37, 37) is encoder.pos_embed


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
