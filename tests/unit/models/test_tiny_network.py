"""The embedded model's network parts, on untrained weights and on hand-made features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import shortest_path

from vggt_sfm.models.tiny.context import CrossBlock, PairContext
from vggt_sfm.models.tiny.depth_head import DepthHead
from vggt_sfm.models.tiny.matching import (
    HIDDEN,
    candidates,
    match_pair,
    refine,
    told_candidates,
)
from vggt_sfm.models.tiny.model import choose_pairs
from vggt_sfm.models.tiny.network import Features, TinyBackbone, TinyConfig
from vggt_sfm.models.tiny.pair_matcher import PairMatcher
from vggt_sfm.models.tiny.sweep import HYPOTHESES
from vggt_sfm.training.context import begin_like

# points start between four fine cells, and random features favour one of them
UNTRAINED_PX = 1.5
FLAT = torch.tensor(12.0).log()
SMALL = TinyConfig(stem=8, mid=8, coarse=16, deep=16, coarse_blocks=1, deep_blocks=1)


@pytest.fixture(scope="module")
def backbone() -> TinyBackbone:
    torch.manual_seed(0)
    return TinyBackbone(SMALL).eval()


def distinct_field(channels: int, height: int, width: int) -> torch.Tensor:
    """Unit vectors that differ from cell to cell, (1, channels, height, width)."""
    noise = torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(1))
    blurred = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    return torch.nn.functional.normalize(blurred + 0.3 * noise, dim=1)


def test_shapes_and_unit_descriptors(backbone: TinyBackbone) -> None:
    with torch.no_grad():
        f = backbone(torch.rand(2, 3, 48, 64))
    assert f.coarse.shape == (2, 64, 6, 8)
    assert f.matchable.shape == (2, 6, 8)
    assert f.fine.shape == (2, 32, 24, 32)
    assert f.lateral.shape == (2, 16, 6, 8)
    np.testing.assert_allclose(f.coarse.norm(dim=1), 1.0, atol=1e-5)


def test_without_gradients_the_backbone_says_the_same(backbone: TinyBackbone) -> None:
    """The pixels go through a block in chunks then; the last chunk here is not full."""
    images = torch.rand(2, 3, 80, 112, generator=torch.Generator().manual_seed(2))
    plain = backbone(images)
    with torch.no_grad():
        chunked = backbone(images.contiguous(memory_format=torch.channels_last))
    for name in ("coarse", "matchable", "fine", "lateral"):
        a, b = getattr(plain, name).detach(), getattr(chunked, name)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_refine_finds_a_shift_to_the_sub_pixel(backbone: TinyBackbone) -> None:
    """Fine maps shifted by whole cells: points must move by exactly that many pixels."""
    fine = distinct_field(32, 60, 80)
    shifted = fine.roll((2, -3), dims=(2, 3))
    xy = torch.tensor([[61.0, 51.0], [81.0, 61.0], [101.0, 71.0]])  # centres of fine cells
    with torch.no_grad():
        found, mass = refine(backbone, fine, shifted, xy, xy)
    np.testing.assert_allclose(found, xy + torch.tensor([-6.0, 4.0]), atol=0.4)
    assert bool((mass > 0.1).all())


def test_an_image_matches_itself_where_it_is(backbone: TinyBackbone) -> None:
    f = Features(
        coarse=distinct_field(64, 12, 16),
        matchable=torch.full((1, 12, 16), 5.0),
        fine=distinct_field(32, 48, 64),
        lateral=torch.zeros(1, 16, 12, 16),
    )
    xy, confidence = match_pair(backbone, *2 * [candidates(f, FLAT)], most=100)
    assert len(xy) == 100
    np.testing.assert_allclose(xy[:, :2], xy[:, 2:], atol=UNTRAINED_PX)
    assert bool((confidence.diff() <= 1e-6).all())
    assert float(confidence.max()) <= 1.0


def test_hidden_cells_are_never_matched(backbone: TinyBackbone) -> None:
    matchable = torch.full((1, 12, 16), 5.0)
    matchable[:, :, :8] = -30
    f = Features(
        coarse=distinct_field(64, 12, 16),
        matchable=matchable,
        fine=distinct_field(32, 48, 64),
        lateral=torch.zeros(1, 16, 12, 16),
    )
    xy, _ = match_pair(backbone, *2 * [candidates(f, FLAT)], most=500)
    assert len(xy) > 0
    assert float(xy.min(0).values[[0, 2]].min()) >= 8 * 8 - 1


def two_views(model: TinyBackbone) -> tuple[Features, Features]:
    images = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        first, second = (model(image[None]) for image in images)
    return first, second


def test_untrained_context_says_what_the_backbone_says(backbone: TinyBackbone) -> None:
    first, second = two_views(backbone)
    context = PairContext(SMALL).eval()
    begin_like(context, backbone)
    with torch.no_grad():
        descriptors, seen = context(context.view(first), context.view(second))
    for side, view in enumerate((first, second)):
        torch.testing.assert_close(descriptors[:, side], view.coarse)
        torch.testing.assert_close(seen[:, side], view.matchable)


def test_context_depends_on_the_other_view_and_not_on_their_order(backbone: TinyBackbone) -> None:
    torch.manual_seed(1)
    first, second = two_views(backbone)
    context = PairContext(SMALL).eval()
    torch.nn.init.normal_(context.leave.weight, std=0.3)
    with torch.no_grad():
        a, b = context.view(first), context.view(second)
        both, _ = context(a, b)
        swapped, _ = context(b, a)
        alone, _ = context(a, a)
    torch.testing.assert_close(both, swapped.flip(1), atol=1e-5, rtol=0)
    assert float((both[:, 0] - alone[:, 0]).abs().max()) > 1e-3


def test_untrained_attention_goes_to_what_looks_alike() -> None:
    torch.manual_seed(2)
    block = CrossBlock(64)
    tokens = torch.randn(1, 40, 64)
    order = torch.randperm(40)
    x = torch.stack([tokens, tokens[:, order]], 1)
    with torch.no_grad():
        q = block.query_norm(block.query(block.norm1(x[0, 0])).unflatten(-1, (4, -1)))
        k = block.key_norm(block.key(block.norm1(x[0, 1])).unflatten(-1, (4, -1)))
    attended = torch.einsum("phd,thd->hpt", q, k).mean(0).argmax(1)
    assert torch.equal(order[attended], torch.arange(40))


def test_what_is_hidden_stays_hidden_whatever_the_other_view_says(backbone: TinyBackbone) -> None:
    first, second = two_views(backbone)
    hidden = first.matchable.clone()
    hidden[:, :, :8] = HIDDEN
    first = replace(first, matchable=hidden)
    context = PairContext(SMALL).eval()
    with torch.no_grad():
        views = context.view(first), context.view(second)
        one, other = told_candidates(context, views, (first, second))
        xy, _ = match_pair(backbone, one, other, most=500)
    assert len(xy) == 0 or float(xy[:, 0].min()) >= 8 * 8


def test_depth_head_starts_as_the_depth_it_is_given() -> None:
    torch.manual_seed(0)
    head = DepthHead(16, width=32, pairs=1).eval()
    sparse = torch.full((2, 8, 12), torch.nan)
    sparse[:, 2:6, 3:9] = 0.7
    alike = torch.randn(2, HYPOTHESES, 8, 12)
    alike = torch.randn(2, HYPOTHESES, 8, 12)
    with torch.no_grad():
        log_depth, log_error = head(torch.randn(2, 16, 8, 12), sparse, alike)
    assert log_depth.shape == log_error.shape == (2, 32, 48)
    np.testing.assert_allclose(log_depth[:, 12:20, 16:32], 0.7, atol=1e-4)


def test_depth_head_copes_with_no_depth_at_all() -> None:
    head = DepthHead(16, width=32, pairs=1).eval()
    alike = torch.zeros(1, HYPOTHESES, 8, 12)
    with torch.no_grad():
        log_depth, _ = head(torch.randn(1, 16, 8, 12), torch.full((1, 8, 12), torch.nan), alike)
    assert bool(torch.isfinite(log_depth).all())


def test_all_pairs_of_few_frames_and_the_most_similar_of_many() -> None:
    assert choose_pairs(np.zeros((1, 1), np.float32)) == []
    assert choose_pairs(np.zeros((3, 3), np.float32)) == [(0, 1), (0, 2), (1, 2)]
    position = np.arange(40)
    similarity = -np.abs(position[:, None] - position).astype(np.float32)
    pairs = choose_pairs(similarity)
    assert len(pairs) == len(set(pairs)) < 40 * 39 / 2
    assert all((s, s + 1) in pairs for s in range(39))
    assert all(i < j for i, j in pairs)
    assert sum(j - i > 10 for i, j in pairs) <= 40 // 3  # loops


def test_pairs_close_the_loop_of_a_walk() -> None:
    """A walk around a block: frames of the end are like those of the beginning, but not most."""
    count = 60
    place = np.arange(count) / count
    apart = np.abs(place[:, None] - place)
    round_the_block = np.minimum(apart, 1 - apart)
    similarity = (-apart - 0.3 * round_the_block + 2.0).astype(np.float32)
    pairs = choose_pairs(similarity)
    graph = np.zeros((count, count), bool)
    graph[tuple(np.transpose(pairs))] = True
    steps = shortest_path(graph | graph.T, unweighted=True)
    assert steps[0, count - 1] <= 8  # 14 without loops
    assert len(pairs) <= 4.5 * count


def test_a_sparing_matcher_asks_for_context_only_where_pairs_are_not_obvious(
    backbone: TinyBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = two_views(backbone)
    context = PairContext(SMALL).eval()
    ask, asked = context.forward, []
    monkeypatch.setattr(context, "forward", lambda *views: asked.append(views) or ask(*views))

    def questions(*, context: PairContext | None, sparing: bool) -> int:
        asked.clear()
        PairMatcher(backbone, context, features, sparing=sparing).match(0, 1, most=500)
        return len(asked)

    assert questions(context=context, sparing=True) == 1
    monkeypatch.setattr("vggt_sfm.models.tiny.pair_matcher._BEST", 1)
    monkeypatch.setattr("vggt_sfm.models.tiny.pair_matcher._OBVIOUS", 0.0)
    assert questions(context=context, sparing=True) == 0
    assert questions(context=context, sparing=False) == 1
    assert questions(context=None, sparing=True) == 0
