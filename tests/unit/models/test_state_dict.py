"""Names, shapes and norm constants: what makes a checkpoint fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from golden_tools import manifest
from torch import nn

from vggt_sfm.models import VGGT, VGGTConfig

WITHOUT_TRACKER = ("aggregator.", "camera_head.", "point_head.", "depth_head.")


def on_meta(config: VGGTConfig) -> VGGT:
    with torch.device("meta"):
        return VGGT(config)


@pytest.mark.parametrize(
    ("model", "fixture"), [("small", "small_config"), ("tiny", "tiny_config"), ("vggt_1b", None)]
)
def test_keys_and_shapes_are_the_reference_s(
    model: str, fixture: str | None, golden_dir: Path, request: pytest.FixtureRequest
) -> None:
    config = request.getfixturevalue(fixture) if fixture else VGGTConfig.preset("vggt-1b")
    ours = [(k, tuple(v.shape)) for k, v in on_meta(config).state_dict().items()]
    reference = manifest(golden_dir, model).items()
    assert ours == [(k, shape) for k, shape in reference if k.startswith(WITHOUT_TRACKER)]


def test_number_of_parameters() -> None:
    model = on_meta(VGGTConfig.preset("vggt-1b"))
    counts = {n: sum(p.numel() for p in m.parameters()) for n, m in model.named_children()}
    assert counts == {
        "aggregator": 909_112_320,
        "camera_head": 216_174_610,
        "point_head": 32_654_628,
        "depth_head": 32_654_562,
    }


def test_nothing_is_left_on_meta_after_loading(micro_config: VGGTConfig) -> None:
    weights = VGGT(micro_config).state_dict()
    model = on_meta(micro_config)
    model.load_state_dict(weights, assign=True)
    assert not any(t.is_meta for t in [*model.parameters(), *model.buffers()])


def test_every_layer_norm_has_its_own_eps(small_config: VGGTConfig) -> None:
    # Goldens cannot tell 1e-5 from 1e-6.
    norms = {n: m for n, m in on_meta(small_config).named_modules() if isinstance(m, nn.LayerNorm)}
    sixes = {name for name, norm in norms.items() if norm.eps == 1e-6}
    fives = {name for name, norm in norms.items() if norm.eps == 1e-5}
    encoder = {name for name in norms if name.startswith("aggregator.patch_embed.")}
    assert len(encoder) == 12 * 2 + 1
    assert sixes == encoder | {"camera_head.adaptive_norm"}
    assert fives == set(norms) - sixes
    assert len(fives) == 6 * 2 * 4 + (2 * 2 + 2) + 2  # attention, camera head, dense heads


def test_camera_head_s_adaptive_norm_has_no_parameters(micro_config: VGGTConfig) -> None:
    norm = VGGT(micro_config).get_submodule("camera_head.adaptive_norm")
    assert list(norm.parameters()) == []
