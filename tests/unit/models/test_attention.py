"""The patterns of attention that VGGT's alternating one is compared with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vggt_sfm.models import VGGT, VGGTConfig
from vggt_sfm.models.aggregator import Aggregator
from vggt_sfm.models.config import AttentionPattern
from vggt_sfm.models.layers import Attention

PATTERNS: tuple[AttentionPattern, ...] = ("alternating", "global", "cross")


def aggregator(config: VGGTConfig, pattern: AttentionPattern) -> Aggregator:
    torch.manual_seed(0)
    made = Aggregator(replace(config, attention=pattern))
    for name, parameter in made.named_parameters():
        if name.endswith("gamma"):  # or one block's part in the result is too small to see
            torch.nn.init.ones_(parameter)
    return made


def images(num_frames: int) -> Tensor:
    return torch.rand((1, num_frames, 3, 14, 21), generator=torch.Generator().manual_seed(0))


def influence(model: Aggregator, source: int, layer: int) -> Tensor:
    """How the (B, S, P, 2C) tokens of a layer depend on one frame's pixels: (S, 2C) sums."""
    pixels = images(3)
    changed = pixels.clone()
    changed[:, source] = 1 - changed[:, source]
    with torch.no_grad():
        difference = (model(changed)[layer] - model(pixels)[layer]).abs()
    return difference[0].sum(dim=1)


def test_patterns_have_the_same_parameters(micro_config: VGGTConfig) -> None:
    shapes = []
    for pattern in PATTERNS:
        state = VGGT(replace(micro_config, attention=pattern)).state_dict()
        shapes.append({name: tuple(tensor.shape) for name, tensor in state.items()})
    assert shapes[0] == shapes[1] == shapes[2]


def test_patterns_differ_where_there_are_several_frames(micro_config: VGGTConfig) -> None:
    with torch.no_grad():
        a, b, c = (aggregator(micro_config, p)(images(3))[2] for p in PATTERNS)
    for x, y in ((a, b), (a, c), (b, c)):
        assert float((x - y).abs().max()) > 1e-2


def test_a_lone_frame_is_the_same_to_all_patterns(micro_config: VGGTConfig) -> None:
    with torch.no_grad():
        a, b, c = (aggregator(micro_config, p)(images(1))[2] for p in PATTERNS)
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    torch.testing.assert_close(a, c, rtol=0, atol=0)


@pytest.mark.parametrize(("pattern", "others_in_first"), [("alternating", False), ("global", True)])
def test_first_blocks_see_one_frame_or_all(
    micro_config: VGGTConfig, pattern: AttentionPattern, others_in_first: bool
) -> None:
    width = micro_config.embed_dim
    changes = influence(aggregator(micro_config, pattern), source=1, layer=0)
    assert bool(changes[0, :width].any()) is others_in_first
    assert bool(changes[0, width:].any())


def test_cross_attention_sees_the_other_frames_only(micro_config: VGGTConfig) -> None:
    tokens = torch.zeros(1, 3, 2, 16)
    seen = aggregator(micro_config, "cross")._seen(tokens)
    assert seen is not None
    rows = ["001111", "001111", "110011", "110011", "111100", "111100"]
    assert seen.int().tolist() == [[int(c) for c in row] for row in rows]


def test_masked_attention_agrees_with_leaving_tokens_out() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 2)
    x = torch.randn(1, 4, 8)
    seen = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]).bool()
    q, k, v = attention.qkv(x).view(4, 3, 2, 4).unbind(1)  # each (T, heads, D)
    rows = []
    for token in range(4):
        others = seen[token].nonzero()[:, 0]
        score = torch.einsum("hd,thd->ht", q[token], k[others]) / 4**0.5
        rows.append(torch.einsum("ht,thd->hd", score.softmax(dim=1), v[others]).flatten())
    expected = attention.proj(torch.stack(rows))[None]
    torch.testing.assert_close(attention(x, seen=seen), expected, rtol=1e-5, atol=1e-6)


def test_an_unknown_pattern_is_refused(micro_config: VGGTConfig) -> None:
    with pytest.raises(ValueError, match="unknown attention 'sideways'"):
        replace(micro_config, attention="sideways")  # type: ignore[arg-type]
