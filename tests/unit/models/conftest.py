"""The specification's models, and a recorder for what happens inside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_tools import Goldens, seeded_arrays
from numpy.typing import NDArray
from torch import Tensor, nn

from vggt_sfm.models import VGGT, VGGTConfig

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep results and load the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def golden_dir(shared_dir: Path) -> Path:
    return shared_dir / "spec" / "golden"


@pytest.fixture(scope="session")
def small_goldens(golden_dir: Path) -> Goldens:
    return Goldens(golden_dir, "small.npz")


@pytest.fixture(scope="session")
def small_config() -> VGGTConfig:
    """The ViT-S model of cases A, B and C."""
    return VGGTConfig(
        embed_dim=384,
        depth=6,
        num_heads=6,
        encoder_depth=12,
        encoder_heads=6,
        camera_depth=2,
        camera_heads=8,
        dpt_features=64,
        dpt_channels=(48, 96, 192, 192),
        dpt_layers=(1, 2, 4, 5),
    )


@pytest.fixture(scope="session")
def tiny_config() -> VGGTConfig:
    """The model of case T, without an encoder and without dense heads."""
    return VGGTConfig(
        img_size=56,
        embed_dim=64,
        depth=2,
        num_heads=4,
        num_register_tokens=2,
        patch_embed="conv",
        camera_depth=2,
        camera_heads=4,
        enable_depth=False,
        enable_point=False,
    )


@pytest.fixture(scope="session")
def micro_config() -> VGGTConfig:
    """Every part of the network, as small as it gets; patches of 7 pixels."""
    return VGGTConfig(
        img_size=21,
        patch_size=7,
        embed_dim=16,
        depth=3,
        num_heads=2,
        num_register_tokens=1,
        encoder_depth=1,
        encoder_heads=2,
        camera_depth=1,
        camera_heads=2,
        dpt_features=8,
        dpt_channels=(4, 8, 8, 12),
        dpt_layers=(0, 1, 1, 2),
    )


@pytest.fixture(scope="session")
def seeded_model(golden_dir: Path) -> Callable[[VGGTConfig], VGGT]:
    """Build a model with the specification's pseudo-weights, loaded strictly."""

    def build(config: VGGTConfig) -> VGGT:
        with torch.device("meta"):
            model = VGGT(config)
        shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        weights = seeded_arrays(golden_dir, shapes)
        state = {key: torch.from_numpy(value) for key, value in weights.items()}
        model.load_state_dict(state, strict=True, assign=True)
        return model.eval()

    return build


@pytest.fixture(scope="session")
def small_model(seeded_model: Callable[[VGGTConfig], VGGT], small_config: VGGTConfig) -> VGGT:
    return seeded_model(small_config)


@pytest.fixture(scope="session")
def images_of_case(small_goldens: Goldens) -> Callable[[str], Tensor]:
    """Make the (B, S, 3, H, W) input of a golden case."""

    def make(case: str) -> Tensor:
        recipes = {
            "A": [(3, 70, 98, 0)],
            "B": [(2, 56, 42, 1), (2, 56, 42, 2)],
            "C": [(1, 84, 84, 3)],
            "T": [(3, 56, 84, 4)],
        }
        scenes = [small_goldens.common.make_images(*recipe) for recipe in recipes[case]]
        return torch.from_numpy(np.stack(scenes))

    return make


@pytest.fixture(scope="session")
def run_recorded() -> Callable[[VGGT, Tensor], Arrays]:
    """Run a model and return outputs and intermediates by their golden names."""
    return _run_recorded


def _run_recorded(model: VGGT, images: Tensor) -> Arrays:
    seen: dict[str, Tensor] = {}
    modules = dict(model.named_modules())
    with ExitStack() as hooks, torch.inference_mode():

        def watch(name: str, module: str, *, inputs: bool = False) -> None:
            def before(_: nn.Module, args: tuple[Tensor, ...]) -> None:
                seen[name] = args[0].clone()

            def after(_: nn.Module, args: object, out: Tensor) -> None:
                seen[name] = out.clone()

            if inputs:
                hooks.callback(modules[module].register_forward_pre_hook(before).remove)
            else:
                hooks.callback(modules[module].register_forward_hook(after).remove)

        aggregator = model.aggregator
        if model.config.patch_embed == "dinov2":
            watch("dino.tokens_in", "aggregator.patch_embed.blocks.0", inputs=True)
            watch("dino.block0", "aggregator.patch_embed.blocks.0")
            watch("dino.norm", "aggregator.patch_embed.norm")
        watch("agg.tokens_in", "aggregator.frame_blocks.0", inputs=True)
        for i in range(model.config.depth):
            watch(f"agg.frame{i}", f"aggregator.frame_blocks.{i}")
            watch(f"agg.global{i}", f"aggregator.global_blocks.{i}")
        for name in ("depth", "point"):
            if f"{name}_head" in modules:
                for k in range(4):
                    watch(f"{name}.project{k}", f"{name}_head.projects.{k}")
                    watch(f"{name}.resize{k}", f"{name}_head.resize_layers.{k}")
                    watch(f"{name}.refinenet{k + 1}", f"{name}_head.scratch.refinenet{k + 1}")
                watch(f"{name}.output_conv1", f"{name}_head.scratch.output_conv1")
                watch(f"{name}.logits", f"{name}_head.scratch.output_conv2")
        layers: Mapping[int, Tensor] = {}

        def keep_layers(_: nn.Module, args: object, out: dict[int, Tensor]) -> None:
            nonlocal layers
            layers = dict(out)

        hooks.callback(aggregator.register_forward_hook(keep_layers).remove)
        output = model(images)

    num_special = 1 + model.config.num_register_tokens
    for i in range(model.config.depth):
        tokens = seen[f"agg.frame{i}"]
        within = tokens.view(*images.shape[:2], *tokens.shape[1:])
        across = seen[f"agg.global{i}"].view_as(within)
        seen[f"agg.out{i}"] = layers.get(i, torch.cat([within, across], dim=-1))
        seen[f"agg.out{i}.special"] = seen[f"agg.out{i}"][:, :, :num_special]
    for field in fields(output):
        if (value := getattr(output, field.name)) is not None:
            seen[field.name] = value
    return {name: value.numpy() for name, value in seen.items()}
