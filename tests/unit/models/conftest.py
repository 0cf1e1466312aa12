"""The specification's models and goldens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from checkpoints import State, random_state

from vggt_sfm.benchmarks.goldens import SMALL, TINY, seeded_model
from vggt_sfm.models import VGGT, VGGTConfig


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep results and load the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small_model(golden_dir: Path) -> VGGT:
    """The ViT-S model of cases A, B and C."""
    return seeded_model(golden_dir, SMALL)


@pytest.fixture(scope="session")
def tiny_config() -> VGGTConfig:
    """The model of case T, without an encoder, dense heads and a tracker."""
    return TINY


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
        track_features=8,
        track_corr_levels=3,
        track_corr_radius=1,
        track_hidden=16,
    )


@pytest.fixture(scope="session")
def state() -> State:
    return random_state()
