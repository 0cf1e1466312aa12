"""The network against the reference's outputs and intermediates (model.md, section 9)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_tools import Goldens, model_tolerance
from numpy.typing import NDArray
from torch import Tensor

from vggt_sfm.models import VGGT, VGGTConfig

Arrays = dict[str, NDArray[Any]]
# The track head is not implemented.
IGNORED = frozenset({"track", "track_iters", "vis", "conf"})


@pytest.mark.parametrize("case", ["A", "B", "C"])
def test_small_model(
    case: str,
    small_goldens: Goldens,
    small_model: VGGT,
    images_of_case: Callable[[str], Tensor],
    run_recorded: Callable[[VGGT, Tensor], Arrays],
) -> None:
    recorded = run_recorded(small_model, images_of_case(case))
    assert small_goldens.beyond_tolerance(f"{case}.", recorded, IGNORED) == {}


def test_conv_patch_model(
    small_goldens: Goldens,
    seeded_model: Callable[[VGGTConfig], VGGT],
    tiny_config: VGGTConfig,
    images_of_case: Callable[[str], Tensor],
    run_recorded: Callable[[VGGT, Tensor], Arrays],
) -> None:
    recorded = run_recorded(seeded_model(tiny_config), images_of_case("T"))
    assert small_goldens.beyond_tolerance("T.", recorded, IGNORED) == {}
    assert "depth" not in recorded


def test_field_of_view_is_rectified_only_where_it_leaves(
    golden_dir: Path, small_model: VGGT, images_of_case: Callable[[str], Tensor]
) -> None:
    goldens = Goldens(golden_dir, "relu_fov.npz")
    assert small_model.camera_head is not None
    bias = small_model.camera_head.pose_branch.fc2.bias
    before = bias.detach().clone()
    with torch.no_grad():
        try:
            bias[7:9] = -1.0
            layers = small_model.aggregator(images_of_case("A"))
            estimates = small_model.camera_head(layers[5]).numpy()
        finally:
            bias.copy_(before)
    assert np.any(goldens.arrays["R.pose_enc_iters"][..., 7:] == 0)  # the case does what it is for
    assert goldens.difference("R.pose_enc_iters", estimates) <= model_tolerance("pose_enc_iters")


@pytest.mark.slow
def test_vggt_1b(
    golden_dir: Path,
    seeded_model: Callable[[VGGTConfig], VGGT],
    run_recorded: Callable[[VGGT, Tensor], Arrays],
) -> None:
    goldens = Goldens(golden_dir, "full.npz")
    model = seeded_model(VGGTConfig.preset("vggt-1b"))
    images = torch.from_numpy(goldens.common.make_images(2, 392, 518, seed=7)[None])
    assert goldens.beyond_tolerance("", run_recorded(model, images), IGNORED) == {}
