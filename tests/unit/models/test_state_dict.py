"""Names, shapes and norm constants: what makes a checkpoint fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from vggt_sfm.benchmarks.goldens import SMALL, TINY, manifest
from vggt_sfm.models import VGGT, VGGTConfig


def on_meta(config: VGGTConfig) -> VGGT:
    with torch.device("meta"):
        return VGGT(config)


@pytest.mark.parametrize(
    ("model", "config"),
    [("small", SMALL), ("tiny", TINY), ("vggt_1b", VGGTConfig.preset("vggt-1b"))],
    ids=["small", "tiny", "vggt_1b"],
)
def test_keys_and_shapes_are_the_reference_s(
    model: str, config: VGGTConfig, golden_dir: Path
) -> None:
    ours = [(key, tuple(value.shape)) for key, value in on_meta(config).state_dict().items()]
    assert ours == list(manifest(golden_dir, model).items())


def test_number_of_parameters() -> None:
    model = on_meta(VGGTConfig.preset("vggt-1b"))
    counts = {n: sum(p.numel() for p in m.parameters()) for n, m in model.named_children()}
    assert counts == {
        "aggregator": 909_112_320,
        "camera_head": 216_174_610,
        "point_head": 32_654_628,
        "depth_head": 32_654_562,
        "track_head": 65_941_396,
    }


def test_nothing_is_left_on_meta_after_loading(micro_config: VGGTConfig) -> None:
    weights = VGGT(micro_config).state_dict()
    model = on_meta(micro_config)
    model.load_state_dict(weights, assign=True)
    assert not any(t.is_meta for t in [*model.parameters(), *model.buffers()])


def test_every_norm_has_its_own_eps() -> None:
    # Goldens cannot tell 1e-5 from 1e-6.
    kinds = (nn.LayerNorm, nn.GroupNorm)
    norms = {n: m for n, m in on_meta(SMALL).named_modules() if isinstance(m, kinds)}
    sixes = {name for name, norm in norms.items() if norm.eps == 1e-6}
    fives = {name for name, norm in norms.items() if norm.eps == 1e-5}
    encoder = {name for name in norms if name.startswith("aggregator.patch_embed.")}
    assert len(encoder) == 12 * 2 + 1
    assert sixes == encoder | {"camera_head.adaptive_norm"}
    assert fives == set(norms) - sixes
    attention, camera_head, dense_heads = 6 * 2 * 4, 2 * 2 + 2, 2
    features, former, tracker = 1, 6 * (2 + 2 + 3 + 3) + 2, 2
    assert len(fives) == attention + camera_head + dense_heads + features + former + tracker
    # every other module with an eps would have escaped
    assert {n for n, m in on_meta(SMALL).named_modules() if hasattr(m, "eps")} == set(norms)


def test_camera_head_s_adaptive_norm_has_no_parameters(micro_config: VGGTConfig) -> None:
    norm = VGGT(micro_config).get_submodule("camera_head.adaptive_norm")
    assert list(norm.parameters()) == []
