"""Planted mistakes: the goldens must notice each, and each must be as large as model.md says.

That a change has the documented size shows that it is the documented mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_sfm.benchmarks.goldens import Goldens
from vggt_sfm.benchmarks.recording import compare_case
from vggt_sfm.models import VGGT, aggregator
from vggt_sfm.models.aggregator import Aggregator
from vggt_sfm.models.heads import dense, track
from vggt_sfm.models.heads.camera import CameraHead
from vggt_sfm.models.heads.correlation import CorrelationPyramid
from vggt_sfm.models.heads.track import Tracker
from vggt_sfm.models.heads.updateformer import CrossBlock, SelfBlock
from vggt_sfm.models.layers import Attention, Rope, rope

Plant = Callable[[pytest.MonkeyPatch, VGGT], None]

WIDTH_OF_CASE_A = 98
COLUMNS = (
    "dino.norm",
    "agg.out5",
    "pose_enc_iters",
    "depth",
    "world_points",
    "track_iters",
    "vis",
)
FACTOR = 5  # the table has one digit, and the stored samples are not all elements
SURE = 1e-3  # smaller changes are partly rounding


def rope_axes_swapped(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(aggregator, "rope", lambda yx, dim: rope(yx.flip(-1), dim))


def rope_patches_from_zero(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(aggregator, "rope", lambda yx, dim: rope((yx - 1).clamp(min=0), dim))


def rope_off(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(Rope, "rotate", lambda self, heads: heads)


def rope_of_neighbours(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    def rotate(self: Rope, heads: Tensor) -> Tensor:
        tokens, _, quarter = self.cos.shape
        x = heads.reshape(*heads.shape[:-2], -1, tokens, 2, quarter, 2)
        a, b = x.unbind(-1)
        turned = torch.stack([a * self.cos - b * self.sin, b * self.cos + a * self.sin], -1)
        return turned.reshape(heads.shape)

    patch.setattr(Rope, "rotate", rotate)


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


def positions_with_an_offset(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    right = F.interpolate

    def interpolate(x: Tensor, size: tuple[int, int], **options: object) -> Tensor:
        if options["mode"] != "bicubic":
            return right(x, size, **options)
        scale = [(new + 0.1) / old for new, old in zip(size, x.shape[-2:], strict=True)]
        return right(x, scale_factor=scale, **options)

    patch.setattr(F, "interpolate", interpolate)


def positions_not_antialiased(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    right = F.interpolate
    patch.setattr(F, "interpolate", lambda *a, **k: right(*a, **{**k, "antialias": False}))


def no_image_normalisation(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(Aggregator, "_normalize", lambda self, images: images)


def global_before_frame(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    right = Aggregator.forward

    def forward(self: Aggregator, images: Tensor) -> dict[int, Tensor]:
        layers = right(self, images)
        return {i: torch.cat(both.chunk(2, dim=-1)[::-1], dim=-1) for i, both in layers.items()}

    patch.setattr(Aggregator, "forward", forward)


def gelu_by_tanh(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    right = F.gelu
    patch.setattr(F, "gelu", lambda x, approximate="none": right(x, approximate="tanh"))


def raw_dense_residual(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    def forward(self: dense.ResidualUnit, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(F.relu(self.conv1(F.relu(x))))
        return out + x

    patch.setattr(dense.ResidualUnit, "forward", forward)


def no_dense_position_embedding(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(dense.FeatureHead, "_embed_position", lambda self, x, size: x)


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


def raw_self_residual(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    def forward(self: SelfBlock, x: Tensor) -> Tensor:
        h = self.norm1(x)
        y = x + self.attn(h, h, h, need_weights=False)[0]
        out: Tensor = y + self.mlp(self.norm2(y))
        return out

    patch.setattr(SelfBlock, "forward", forward)


def raw_cross_residual(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    def forward(self: CrossBlock, x: Tensor, context: Tensor) -> Tensor:
        h, other = self.norm1(x), self.norm_context(context)
        y = x + self.cross_attn(h, other, other, need_weights=False)[0]
        out: Tensor = y + self.mlp(self.norm2(y))
        return out

    patch.setattr(CrossBlock, "forward", forward)


def window_not_transposed(patch: pytest.MonkeyPatch, model: VGGT) -> None:
    right = CorrelationPyramid.look_up
    side = 2 * model.config.track_corr_radius + 1

    def look_up(self: CorrelationPyramid, points: Tensor, xy: Tensor) -> Tensor:
        windows = right(self, points, xy).unflatten(-1, (-1, side, side))
        return windows.transpose(-1, -2).flatten(-3)

    patch.setattr(CorrelationPyramid, "look_up", look_up)


def window_repeats_the_border(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    right = CorrelationPyramid._pixels

    def pixels(self: CorrelationPyramid, corner: Tensor, size: int) -> tuple[Tensor, Tensor]:
        pixel, inside = right(self, corner, size)
        return pixel, torch.ones_like(inside)

    patch.setattr(CorrelationPyramid, "_pixels", pixels)


def flow_over_image_size(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    patch.setattr(track, "_FLOW_SCALE_PX", float(WIDTH_OF_CASE_A))


def cosine_before_sine(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    right = track.flow_embedding
    patch.setattr(
        track,
        "flow_embedding",
        lambda flow, channels: right(flow, channels).unflatten(-1, (-1, 2)).flip(-1).flatten(-2),
    )


def one_mark_for_all_frames(patch: pytest.MonkeyPatch, _: VGGT) -> None:
    right = Tracker._marks

    def marks(self: Tracker, query: Tensor, size: tuple[int, int], frames: int) -> Tensor:
        return right(self, query, size, frames)[:, :, :1].expand(-1, -1, frames, -1)

    patch.setattr(Tracker, "_marks", marks)


# row of the table in model.md -> how to plant it
MISTAKES: dict[str, Plant] = {
    "rope: x/y swapped": rope_axes_swapped,
    "rope: no +1 offset on patches": rope_patches_from_zero,
    "rope: off": rope_off,
    "rope: applied to v-like pairs interleaved": rope_of_neighbours,
    "no qk norm": no_qk_norm,
    "first frame uses slot-1 special tokens": first_frame_uses_slot_1,
    "pos-embed interpolation offset 0.1": positions_with_an_offset,
    "pos-embed interpolation antialias False": positions_not_antialiased,
    "no image normalisation": no_image_normalisation,
    "global|frame concat order": global_before_frame,
    "GELU tanh approximation": gelu_by_tanh,
    "DPT residual unit: ReLU not in place (skip adds raw x)": raw_dense_residual,
    "DPT: no position embedding": no_dense_position_embedding,
    "DPT: pos-embed aspect from H/W": inverted_aspect,
    "DPT: align_corners False": corners_not_aligned,
    "camera: modulate without 1+scale": modulation_without_one,
    "tracker: self-attn residual from raw x": raw_self_residual,
    "tracker: cross-attn residual from raw x": raw_cross_residual,
    "tracker: corr window not transposed": window_not_transposed,
    "tracker: corr sampling border padding": window_repeats_the_border,
    "tracker: flow scale = image size instead of 518": flow_over_image_size,
    "tracker: flow embedding cos/sin swapped": cosine_before_sine,
    "tracker: same ref token for all frames": one_mark_for_all_frames,
}
# Within any tolerance: test_state_dict.py reads every eps instead.
BY_READING = {
    "AA blocks LN eps 1e-6",
    "DINO LN eps 1e-5",
    "DPT token LN eps 1e-6",
    "camera adaLN eps 1e-5",
}


@pytest.fixture(scope="module")
def documented(shared_dir: Path) -> dict[str, dict[str, float]]:
    """The mutation table: mistake -> array -> largest change in case A."""
    text = (shared_dir / "spec" / "model.md").read_text()
    _, _, table = text.partition("| mistake | " + " | ".join(COLUMNS) + " |\n")
    rows = {}
    for line in table.splitlines()[1:]:
        if not line.startswith("|"):
            break
        # the name of one row has a bar in it
        name, *cells = line.strip("| ").rsplit("|", len(COLUMNS))
        rows[name.strip()] = dict(zip(COLUMNS, map(float, cells), strict=True))
    return rows


def test_every_mistake_of_the_table_is_planted_or_read(
    documented: dict[str, dict[str, float]],
) -> None:
    assert set(documented) == {"none", *MISTAKES, *BY_READING}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_noticed(
    mistake: str,
    documented: dict[str, dict[str, float]],
    monkeypatch: pytest.MonkeyPatch,
    small_goldens: Goldens,
    small_model: VGGT,
) -> None:
    MISTAKES[mistake](monkeypatch, small_model)
    matches = {match.name: match for match in compare_case(small_goldens, "A", small_model)}
    for name, change in documented[mistake].items():
        match = matches[name]
        assert match.within == (change == 0), match
        if change >= SURE:
            assert change / FACTOR <= match.difference <= change * FACTOR, match


def test_visibility_of_the_features_before_the_last_is_noticed(
    monkeypatch: pytest.MonkeyPatch, small_goldens: Goldens, small_model: VGGT
) -> None:
    right, calls = Tracker._update, []

    def update(self: Tracker, step: Tensor) -> Tensor:
        calls.append(step)
        whole = right(self, step)
        return whole if len(calls) < self.iterations else torch.zeros_like(whole)

    monkeypatch.setattr(Tracker, "_update", update)
    matches = {match.name: match for match in compare_case(small_goldens, "A", small_model)}
    assert len(calls) == small_model.config.track_iterations
    assert {name for name, match in matches.items() if not match.within} == {"vis", "conf"}
