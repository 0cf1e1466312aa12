"""Planted mistakes: the goldens must notice each of them (model.md, mutation table)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch.nn.functional as F
from golden_tools import Goldens
from numpy.typing import NDArray
from torch import Tensor, nn

from vggt_sfm.models import VGGT, aggregator
from vggt_sfm.models.aggregator import Aggregator
from vggt_sfm.models.heads import dense
from vggt_sfm.models.heads.camera import CameraHead
from vggt_sfm.models.layers import Attention, Rope, rope

Arrays = dict[str, NDArray[Any]]
Plant = Callable[[pytest.MonkeyPatch, VGGT], None]
IGNORED = frozenset({"track", "track_iters", "vis", "conf"})


def rope_axes_swapped(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(aggregator, "rope", lambda yx, dim: rope(yx.flip(-1), dim))


def rope_patches_from_zero(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(aggregator, "rope", lambda yx, dim: rope((yx - 1).clamp(min=0), dim))


def rope_off(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(Rope, "rotate", lambda self, heads: heads)


def no_qk_norm(patch: pytest.MonkeyPatch, model: VGGT) -> None:
    for module in model.modules():
        if isinstance(module, Attention):
            patch.setitem(module._modules, "q_norm", nn.Identity())
            patch.setitem(module._modules, "k_norm", nn.Identity())


def first_frame_uses_slot_1(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    right = Aggregator._special_tokens
    patch.setattr(
        Aggregator, "_special_tokens", lambda self, b, s: right(self, b, s + 1)[-s:].clone()
    )


def positions_not_antialiased(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    right = F.interpolate
    patch.setattr(F, "interpolate", lambda *a, **k: right(*a, **{**k, "antialias": False}))


def no_image_normalisation(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(Aggregator, "_normalize", lambda self, images: images)


def gelu_by_tanh(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(F, "gelu", partial(F.gelu, approximate="tanh"))


def raw_residual(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    def forward(self: dense.ResidualUnit, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(F.relu(self.conv1(F.relu(x))))
        return out + x

    patch.setattr(dense.ResidualUnit, "forward", forward)


def no_dense_position_embedding(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(dense.DenseHead, "_embed_position", staticmethod(lambda x, size: x))


def inverted_aspect(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    right = dense.position_embedding
    patch.setattr(dense, "position_embedding", lambda maps, aspect: right(maps, 1 / aspect))


def corners_not_aligned(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    right = F.interpolate
    patch.setattr(F, "interpolate", lambda *a, **k: right(*a, **{**k, "align_corners": False}))


def modulation_without_one(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    def refine(self: CameraHead, tokens: Tensor, pose: Tensor) -> Tensor:
        shift, scale, gate = self.poseLN_modulation(pose).chunk(3, dim=-1)
        x = gate * (self.adaptive_norm(tokens) * scale + shift) + tokens
        for block in self.trunk:
            x = block(x)
        refined: Tensor = self.trunk_norm(x)
        return refined

    patch.setattr(CameraHead, "_refine", refine)


# mistake, what must be off, what it does not reach
MISTAKES: list[tuple[Plant, set[str], set[str]]] = [
    (rope_axes_swapped, {"agg.out5", "pose_enc_iters", "depth"}, {"dino.norm"}),
    (rope_patches_from_zero, {"agg.out5", "pose_enc_iters", "depth"}, {"dino.norm"}),
    (rope_off, {"agg.out5", "pose_enc_iters", "depth"}, {"dino.norm"}),
    (no_qk_norm, {"agg.out5", "pose_enc_iters", "depth"}, {"dino.norm"}),
    (first_frame_uses_slot_1, {"agg.tokens_in", "pose_enc_iters", "depth"}, {"dino.norm"}),
    (positions_not_antialiased, {"dino.tokens_in", "pose_enc_iters", "depth"}, set()),
    (no_image_normalisation, {"dino.tokens_in", "pose_enc_iters", "depth"}, set()),
    (gelu_by_tanh, {"dino.norm", "pose_enc_iters", "depth"}, {"dino.tokens_in"}),
    (raw_residual, {"depth", "world_points"}, {"agg.out5", "pose_enc_iters"}),
    (no_dense_position_embedding, {"depth", "world_points"}, {"agg.out5", "pose_enc_iters"}),
    (inverted_aspect, {"depth", "world_points"}, {"agg.out5", "pose_enc_iters"}),
    (corners_not_aligned, {"depth", "world_points"}, {"agg.out5", "pose_enc_iters"}),
    (modulation_without_one, {"pose_enc_iters"}, {"agg.out5", "depth", "world_points"}),
]


@pytest.mark.parametrize(
    ("plant", "broken", "untouched"), MISTAKES, ids=[plant.__name__ for plant, _, _ in MISTAKES]
)
def test_mistake_is_noticed(
    plant: Plant,
    broken: set[str],
    untouched: set[str],
    monkeypatch: pytest.MonkeyPatch,
    small_goldens: Goldens,
    small_model: VGGT,
    images_of_case: Callable[[str], Tensor],
    run_recorded: Callable[[VGGT, Tensor], Arrays],
) -> None:
    images = images_of_case("A")
    plant(monkeypatch, small_model)
    off = small_goldens.beyond_tolerance("A.", run_recorded(small_model, images), IGNORED)
    assert broken <= set(off)
    assert not untouched & set(off)
