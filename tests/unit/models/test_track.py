"""The tracker's promises that no golden covers: chunks, edges, small images, gradients."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_sfm.models import VGGT, VGGTConfig
from vggt_sfm.models.heads import correlation, updateformer
from vggt_sfm.models.heads.correlation import CorrelationPyramid
from vggt_sfm.models.heads.track import Tracker, place_embedding, sample_features
from vggt_sfm.models.heads.updateformer import Updateformer

TRACKED = VGGTConfig(
    img_size=28,
    patch_size=7,
    embed_dim=16,
    depth=2,
    num_heads=2,
    num_register_tokens=1,
    patch_embed="conv",
    camera_depth=1,
    camera_heads=2,
    dpt_features=8,
    dpt_channels=(4, 8, 8, 12),
    dpt_layers=(0, 0, 1, 1),
    enable_depth=False,
    enable_point=False,
    track_features=8,
    track_corr_levels=3,
    track_corr_radius=1,
    track_hidden=16,
)


@pytest.fixture(scope="module")
def model() -> VGGT:
    torch.manual_seed(0)
    return VGGT(TRACKED).eval()


def tracks(model: VGGT, images: Tensor, query: Tensor, **options: int) -> list[Tensor]:
    with torch.inference_mode():
        out = model(images, query, **options)
    return [out.track_iters, out.vis, out.conf]


def full_correlation(points: Tensor, maps: Tensor, xy: Tensor, levels: int, radius: int) -> Tensor:
    """Correlate with whole maps and sample the result: slow, and easy to read."""
    steps = torch.arange(-radius, radius + 1, dtype=xy.dtype)
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).flatten(0, 1)
    found = []
    for level in range(levels):
        current = maps.flatten(0, 1)
        for _ in range(level):
            current = F.avg_pool2d(current, 2)
        height, width = current.shape[-2:]
        volume = torch.einsum("bnf,bfhw->bnhw", points.flatten(0, 1), current)
        volume = volume / points.shape[-1] ** 0.5
        place = xy.flatten(0, 1)[:, :, None] / 2**level + window  # (B·S, N, K, 2)
        limit = torch.tensor([max(width - 1, 1), max(height - 1, 1)], dtype=xy.dtype)
        grid = 2 * place / limit - 1
        if width == 1:
            grid[..., 0] = 0
        if height == 1:
            grid[..., 1] = 0
        sampled = F.grid_sample(
            volume.flatten(0, 1)[:, None], grid.flatten(0, 1)[:, :, None], align_corners=True
        )
        found.append(sampled[:, 0, :, 0].view(*xy.shape[:3], -1))
    return torch.cat(found, dim=-1)


@pytest.mark.parametrize("size", [(13, 18), (9, 4), (4, 5)])
@pytest.mark.parametrize("at_once", [1, 10_000, 1 << 26])
def test_windows_are_those_of_a_full_correlation(
    size: tuple[int, int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlation, "_ELEMENTS_AT_ONCE", at_once)
    draw = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 5, *size, generator=draw, dtype=torch.float64)
    points = torch.randn(2, 3, 7, 5, generator=draw, dtype=torch.float64)
    xy = torch.rand(2, 3, 7, 2, generator=draw, dtype=torch.float64) * 30 - 8
    xy[0, 0, :2] = torch.tensor([[0.0, 0.0], [size[1] - 1.0, size[0] - 1.0]])
    found = CorrelationPyramid(maps, 3, 2).look_up(points, xy)
    torch.testing.assert_close(found, full_correlation(points, maps, xy, 3, 2))


def test_wild_estimates_correlate_with_nothing() -> None:
    pyramid = CorrelationPyramid(torch.ones(1, 1, 2, 8, 8), 2, 1)
    xy = torch.tensor([[1e30, 0.0], [-1e30, 1e9], [torch.nan, 3.0], [torch.inf, 3.0]])[None, None]
    found = pyramid.look_up(torch.ones(1, 1, 4, 2), xy)
    assert torch.equal(found[0, 0, :2], torch.zeros(2, 18))
    assert not (found[0, 0, 2:] > 0).any()


def test_too_small_maps_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("(4, 8) cannot be halved 3 times")):
        CorrelationPyramid(torch.ones(1, 1, 2, 4, 8), 4, 1)


def test_features_beyond_the_border_are_those_at_it() -> None:
    maps = torch.arange(12.0).view(1, 1, 3, 4)
    xy = torch.tensor([[[-5.0, -5.0], [9.0, 1.0], [1.5, 0.5], [3.0, 2.0]]])
    assert sample_features(maps, xy)[0, :, 0].tolist() == [0.0, 7.0, 3.5, 11.0]


def test_place_embedding_is_blended_between_pixels() -> None:
    at = [place_embedding(torch.tensor([[x, 2.0]]), (5, 7), 8) for x in (3.0, 4.0, 3.25, 99.0, 6.0)]
    torch.testing.assert_close(at[2], 0.75 * at[0] + 0.25 * at[1])
    assert torch.equal(at[3], at[4])


@pytest.mark.parametrize("tokens_at_once", [1, 100])
def test_updateformer_in_chunks(tokens_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    former = Updateformer(10, 16, 4).double().eval()
    tokens = torch.randn(2, 5, 3, 10, dtype=torch.float64)
    with torch.inference_mode():
        whole = former(tokens)
        monkeypatch.setattr(updateformer, "_TOKENS_AT_ONCE", tokens_at_once)
        torch.testing.assert_close(former(tokens), whole, rtol=1e-12, atol=1e-12)


def test_queries_stay_where_they_were_asked_for(model: VGGT) -> None:
    images = torch.rand(2, 3, 3, 28, 35, generator=torch.Generator().manual_seed(0))
    query = torch.tensor([[[3.0, 4.0], [34.0, 27.0]], [[0.0, 0.0], [17.5, 13.5]]])
    iterations, visibility, confidence = tracks(model, images, query)
    assert iterations.shape == (4, 2, 3, 2, 2)
    assert visibility.shape == confidence.shape == (2, 3, 2)
    assert torch.equal(iterations[:, :, 0], query.expand(4, -1, -1, -1))
    assert not torch.equal(iterations[:, :, 1], query.expand(4, -1, -1, -1))


def test_more_frames_than_a_chunk(model: VGGT) -> None:
    images = torch.rand(1, 11, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    query = torch.tensor([[[3.0, 4.0], [20.0, 27.0]]])
    for whole, chunked in zip(
        tracks(model, images, query, frames_per_chunk=100),
        tracks(model, images, query, frames_per_chunk=3),
        strict=True,
    ):
        torch.testing.assert_close(chunked, whole, rtol=1e-4, atol=1e-4)


def test_one_frame_and_no_queries(model: VGGT) -> None:
    images = torch.rand(1, 1, 3, 28, 28)
    iterations, visibility, _ = tracks(model, images, torch.tensor([[[3.0, 4.0]]]))
    assert torch.equal(iterations[-1, 0, 0, 0], torch.tensor([3.0, 4.0]))
    assert visibility.shape == (1, 1, 1)
    assert tracks(model, images, torch.empty(1, 0, 2))[0].shape == (4, 1, 1, 0, 2)


def test_no_queries_no_tracks(model: VGGT) -> None:
    out = model(torch.rand(1, 2, 3, 28, 28))
    assert out.track_iters is out.vis is out.conf is None


@pytest.mark.parametrize("shape", [(2, 3, 2), (1, 3, 3), (3, 2), (2,)])
def test_queries_of_another_shape_are_refused(model: VGGT, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"(1, N, 2), got {shape}")):
        model(torch.rand(1, 1, 3, 28, 28), torch.zeros(shape))


def test_tracker_follows_autocast_and_the_other_heads_do_not(model: VGGT) -> None:
    images = torch.rand(1, 2, 3, 28, 28)
    seen: dict[str, torch.dtype] = {}

    def keep(name: str) -> object:
        return lambda _module, _args, out: seen.update({name: out.dtype})

    assert model.track_head is not None
    assert model.camera_head is not None
    hooks = [
        model.track_head.feature_extractor.projects[0].register_forward_hook(keep("track")),
        model.camera_head.embed_pose.register_forward_hook(keep("camera")),
    ]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        model(images, torch.zeros(1, 1, 2))
    for hook in hooks:
        hook.remove()
    assert seen == {"track": torch.bfloat16, "camera": torch.float32}


def test_places_are_not_rounded_in_half_precision() -> None:
    torch.manual_seed(0)
    half = VGGT(TRACKED).bfloat16().eval()
    images = torch.rand(1, 2, 3, 28, 28).bfloat16()
    query = torch.tensor([[[3.140625, 4.0], [20.015625, 27.0]]])  # bfloat16 has 8 bits
    iterations, visibility, _ = tracks(half, images, query)
    assert torch.equal(iterations[:, :, 0], query.expand(4, -1, -1, -1))
    assert iterations.dtype == torch.float32
    assert visibility.dtype == torch.bfloat16


def test_queries_of_any_type(model: VGGT) -> None:
    images = torch.rand(1, 2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    expected = tracks(model, images, torch.tensor([[[3.0, 4.0]]]))[0]
    for dtype in (torch.int64, torch.float64):
        found = tracks(model, images, torch.tensor([[[3, 4]]], dtype=dtype))[0]
        assert torch.equal(found, expected)


def test_gradients_reach_all_of_the_tracker() -> None:
    torch.manual_seed(0)
    tracker = Tracker(TRACKED)
    maps = torch.randn(1, 3, 8, 14, 14)
    out, visibility, confidence = tracker(maps, torch.tensor([[[3.0, 4.0], [9.0, 2.0]]]))
    (out.sum() + visibility.sum() + confidence.sum()).backward()
    assert [name for name, p in tracker.named_parameters() if p.grad is None] == []


def test_position_embedding_of_the_features_is_a_choice() -> None:
    torch.manual_seed(0)
    model = VGGT(TRACKED).eval()
    assert model.track_head is not None
    extractor = model.track_head.feature_extractor
    assert not extractor.embed_positions
    layers = model.aggregator(torch.rand(1, 1, 3, 28, 28))
    plain = extractor(layers, (28, 28))
    extractor.embed_positions = True
    assert not np.allclose(plain.detach(), extractor(layers, (28, 28)).detach())
