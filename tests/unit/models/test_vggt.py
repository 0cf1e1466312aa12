"""The network's promises that no golden covers: precision, chunks, memory, errors."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from vggt_sfm.models import VGGT, VGGTConfig
from vggt_sfm.models.heads.dense import DenseHead, FusionBlock
from vggt_sfm.models.layers import Block, grid_positions, rope


@pytest.fixture(scope="module")
def micro(micro_config: VGGTConfig) -> VGGT:
    torch.manual_seed(0)
    return VGGT(micro_config).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand((2, 3, 3, 28, 35), generator=torch.Generator().manual_seed(0))


def outputs(model: VGGT, images: Tensor, **options: int) -> dict[str, Tensor]:
    with torch.inference_mode():
        out = model(images, **options)
    names = ("pose_enc_iters", "depth", "depth_conf", "world_points", "world_points_conf")
    return {name: getattr(out, name) for name in names}


def test_shapes(micro: VGGT, images: Tensor) -> None:
    assert {name: tuple(value.shape) for name, value in outputs(micro, images).items()} == {
        "pose_enc_iters": (4, 2, 3, 9),
        "depth": (2, 3, 28, 35, 1),
        "depth_conf": (2, 3, 28, 35),
        "world_points": (2, 3, 28, 35, 3),
        "world_points_conf": (2, 3, 28, 35),
    }


def test_absent_heads_give_none(tiny_config: VGGTConfig) -> None:
    config = replace(tiny_config, enable_camera=False, enable_depth=True, dpt_layers=(0, 0, 1, 1))
    out = VGGT(config)(torch.rand(1, 1, 3, 28, 28), query_xy=torch.zeros(1, 2, 2))
    assert out.depth is not None
    assert out.pose_enc_iters is out.world_points is out.world_points_conf is None
    assert out.track_iters is out.vis is out.conf is None


def test_a_network_without_heads_says_nothing(tiny_config: VGGTConfig) -> None:
    out = VGGT(replace(tiny_config, enable_camera=False))(torch.rand(1, 1, 3, 28, 28))
    assert out.pose_enc_iters is out.depth is out.world_points is None


def test_double_precision(micro_config: VGGTConfig, micro: VGGT, images: Tensor) -> None:
    double = VGGT(micro_config).double().eval()
    double.load_state_dict(micro.state_dict())
    single = outputs(micro, images)
    for name, value in outputs(double, images.double()).items():
        assert value.dtype == torch.float64
        torch.testing.assert_close(value.float(), single[name], rtol=1e-4, atol=1e-5)


def test_autocast_reaches_the_trunk_but_not_the_heads(micro: VGGT, images: Tensor) -> None:
    exact = outputs(micro, images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = outputs(micro, images)
    for name, value in mixed.items():
        assert value.dtype == torch.float32
        difference = (value - exact[name]).abs().max()
        assert 0 < difference < 0.1  # bfloat16 has 8 bits


def test_half_weights(micro_config: VGGTConfig, images: Tensor) -> None:
    torch.manual_seed(0)
    model = VGGT(micro_config).bfloat16().eval()
    assert all(v.dtype == torch.bfloat16 for v in outputs(model, images.bfloat16()).values())


@pytest.mark.parametrize("frames_per_chunk", [1, 4, 100])
def test_chunks_do_not_change_values(micro: VGGT, frames_per_chunk: int) -> None:
    images = torch.rand((1, 11, 3, 21, 21), generator=torch.Generator().manual_seed(1))
    chunked = outputs(micro, images, frames_per_chunk=frames_per_chunk)
    for name, value in outputs(micro, images).items():
        torch.testing.assert_close(chunked[name], value, rtol=1e-5, atol=1e-6)  # float32 sums


def test_dense_head_works_in_chunks_of_eight(micro: VGGT, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    right = DenseHead._predict

    def spy(self: DenseHead, tokens: list[Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        lengths.append(len(tokens[0]))
        return right(self, tokens, size)

    monkeypatch.setattr(DenseHead, "_predict", spy)
    outputs(micro, torch.rand(1, 11, 3, 21, 21))
    assert lengths == [8, 3, 8, 3]


def test_only_layers_that_are_read_are_kept(micro_config: VGGTConfig) -> None:
    config = replace(micro_config, dpt_layers=(0, 0, 0, 2))
    images = torch.rand(1, 1, 3, 21, 21)
    assert set(VGGT(config).aggregator(images)) == {0, 2}
    pose_only = replace(config, enable_depth=False, enable_point=False, enable_track=False)
    assert set(VGGT(pose_only).aggregator(images)) == {2}


def test_scenes_do_not_see_each_other(micro: VGGT, images: Tensor) -> None:
    both = outputs(micro, images)
    second = outputs(micro, images[1:])
    torch.testing.assert_close(
        both["pose_enc_iters"][:, 1:], second["pose_enc_iters"], rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(both["depth"][1:], second["depth"], rtol=1e-5, atol=1e-6)


def test_permuting_later_frames_permutes_results(micro: VGGT, images: Tensor) -> None:
    straight, crossed = outputs(micro, images), outputs(micro, images[:, [0, 2, 1]])
    torch.testing.assert_close(
        crossed["depth"], straight["depth"][:, [0, 2, 1]], rtol=1e-5, atol=1e-6
    )


def test_gradients_reach_every_parameter_but_the_mask_token(
    micro_config: VGGTConfig, images: Tensor
) -> None:
    torch.manual_seed(0)
    model = VGGT(micro_config)
    out = model(images, torch.tensor([[[3.0, 4.0]]] * 2))
    (
        out.track_iters.sum()
        + out.vis.sum()
        + out.conf.sum()
        + out.pose_enc_iters.sum()
        + out.depth.sum()
        + out.world_points_conf.sum()
    ).backward()
    without = {n for n, p in model.named_parameters() if p.grad is None}
    assert without == {"aggregator.patch_embed.mask_token"}


def test_block_gradients() -> None:
    torch.manual_seed(0)
    block = Block(8, 2, qk_norm=True, layer_scale=1.0).double()
    table = rope(grid_positions(1, 3), 4)
    x = torch.randn(1, 6, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: block(t, table), (x,))


def test_fusion_gradients() -> None:
    torch.manual_seed(0)
    block = FusionBlock(2, has_skip=True).double()
    x, skip = torch.randn(2, 1, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: block(a, b, (6, 4)), (x, skip))


def test_attention_against_a_readable_twin(rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    block = Block(8, 2, qk_norm=True).double()
    table = rope(grid_positions(2, 2), 4)
    x = torch.from_numpy(rng.standard_normal((1, 4, 8)))
    attention = block.attn
    with torch.no_grad():
        q, k, v = (attention.qkv(x)[0, :, 8 * i : 8 * i + 8] for i in range(3))
        heads = []
        for h in (slice(0, 4), slice(4, 8)):
            turned_q = table.rotate(attention.q_norm(q[:, h]))
            turned_k = table.rotate(attention.k_norm(k[:, h]))
            heads.append((turned_q @ turned_k.T / 4**0.5).softmax(-1) @ v[:, h])
        expected = attention.proj(torch.cat(heads, dim=-1))
        torch.testing.assert_close(attention(x, table)[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 3, 28, 28), r"shape \(B, S, 3, H, W\), got \(1, 3, 28, 28\)"),
        (torch.zeros(1, 1, 1, 28, 28), r"got \(1, 1, 1, 28, 28\)"),
        (torch.zeros(1, 0, 3, 28, 28), r"got \(1, 0, 3, 28, 28\)"),
        (torch.zeros(1, 1, 3, 28, 30), "multiples of 7, got 28 x 30"),
        (torch.zeros(1, 1, 3, 28, 28, dtype=torch.uint8), r"floating point .* got torch.uint8"),
    ],
)
def test_wrong_images_are_refused(micro: VGGT, images: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        micro(images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 7}, "embed_dim / num_heads must be whole, got 16 / 7"),
        ({"encoder_heads": 3}, "embed_dim / encoder_heads"),
        ({"camera_heads": 5}, "2 embed_dim / camera_heads must be whole, got 32 / 5"),
        ({"num_heads": 8}, "multiple of 4 .* got 2"),
        ({"img_size": 20}, "img_size 20 is no multiple of patch_size 7"),
        ({"dpt_layers": (0, 1, 2, 3)}, r"dpt_layers \(0, 1, 2, 3\) do not exist at depth 3"),
        ({"dpt_channels": (4, 6, 8, 8)}, r"multiples of 4 .* got \(4, 6, 8, 8\) and 8"),
        ({"dpt_features": 12}, "dpt_features of 8 .* and 12"),
        ({"patch_embed": "vit"}, "unknown patch_embed 'vit'"),
    ],
)
def test_impossible_configurations_are_refused(
    micro_config: VGGTConfig, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(micro_config, **changes)  # type: ignore[arg-type]


def test_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'vggt-2b'; there are: vggt-1b"):
        VGGTConfig.preset("vggt-2b")


def test_configuration_needs_no_torch() -> None:
    code = "import sys; from vggt_sfm.models import VGGTConfig; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
