"""Checkpoints of the VGGT architecture come back whole, in the precision wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from checkpoints import (
    SMALL_VGGT,
    Save,
    State,
    folder_of_one_file,
    folder_of_shards,
    legacy_pt,
    nested_state_dict,
    one_pt,
    one_safetensors,
    pt_of_parameters,
    shards,
    training_checkpoint,
    without_suffix,
    wrapped_safetensors,
)
from torch import nn

from vggt_sfm.benchmarks.goldens import manifest
from vggt_sfm.errors import WeightsError
from vggt_sfm.models import VGGTConfig
from vggt_sfm.models.checkpoint import check_checkpoint, load_vggt


@pytest.mark.parametrize(
    "save",
    [
        one_safetensors,
        one_pt,
        legacy_pt,
        pt_of_parameters,
        shards,
        folder_of_shards,
        folder_of_one_file,
        without_suffix,
        training_checkpoint,
        nested_state_dict,
        wrapped_safetensors,
    ],
)
@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
def test_a_checkpoint_comes_back_whole_and_in_float32(
    state: State, tmp_path: Path, save: Save, stored: torch.dtype
) -> None:
    narrow = {key: value.to(stored) for key, value in state.items()}
    path = save(narrow, tmp_path)
    check_checkpoint(path, SMALL_VGGT)
    model = load_vggt(path, SMALL_VGGT)
    loaded = model.state_dict()
    assert list(loaded) == list(state)
    for key, value in narrow.items():
        assert loaded[key].dtype == torch.float32
        assert torch.equal(loaded[key], value.float()), key
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("stored", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_weights_in_bfloat16_give_what_autocast_gives(
    state: State, tmp_path: Path, stored: torch.dtype
) -> None:
    path = one_safetensors({key: value.to(stored) for key, value in state.items()}, tmp_path)
    images = torch.rand(1, 2, 3, 28, 42, generator=torch.Generator().manual_seed(1))
    queries = torch.tensor([[[3.0, 4.0], [20.0, 11.0]]])
    full, half = (load_vggt(path, SMALL_VGGT, precision=p) for p in ("float32", "bfloat16"))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected, found = full(images, queries), half(images, queries)
    for name in ("pose_enc_iters", "depth", "depth_conf", "world_points", "track_iters", "vis"):
        values = getattr(found, name)
        assert torch.isfinite(values).all()
        assert torch.equal(getattr(expected, name), values), name


def test_bfloat16_is_for_matrices_and_convolutions_of_the_aggregator(
    state: State, tmp_path: Path
) -> None:
    model = load_vggt(one_pt(state, tmp_path), SMALL_VGGT, precision="bfloat16")
    dtypes = {key: value.dtype for key, value in model.state_dict().items()}
    block = "aggregator.global_blocks.1"
    for key in (
        f"{block}.attn.qkv.weight",
        f"{block}.mlp.fc2.bias",
        "aggregator.patch_embed.patch_embed.proj.weight",
    ):
        assert dtypes[key] == torch.bfloat16
    for key in (
        f"{block}.norm1.weight",
        f"{block}.attn.q_norm.bias",
        f"{block}.ls1.gamma",
        "aggregator.camera_token",
        "aggregator.patch_embed.pos_embed",
        "camera_head.embed_pose.weight",
        "depth_head.projects.0.weight",
    ):
        assert dtypes[key] == torch.float32
    assert set(dtypes.values()) == {torch.float32, torch.bfloat16}


def test_a_model_loaded_in_inference_mode_can_leave_it(state: State, tmp_path: Path) -> None:
    path = one_safetensors(state, tmp_path)
    with torch.inference_mode():
        model = load_vggt(path, SMALL_VGGT, precision="bfloat16")
    assert not any(parameter.is_inference() for parameter in model.parameters())


def test_tensors_are_counted(state: State, tmp_path: Path) -> None:
    class Recorder:
        total: int | None = None
        steps = 0

        @contextmanager
        def task(self, name: str, total: int | None) -> Iterator[Recorder]:
            self.total = total
            yield self

        def advance(self, steps: int = 1) -> None:
            self.steps += steps

    recorder = Recorder()
    path = one_safetensors(state, tmp_path)
    load_vggt(path, SMALL_VGGT, precision="bfloat16", progress=recorder)
    assert recorder.steps == recorder.total == len(state)


def test_the_published_names_and_shapes_are_accepted(shared_dir: Path, tmp_path: Path) -> None:
    shapes = manifest(shared_dir / "spec" / "golden", "vggt_1b")
    path = tmp_path / "model.safetensors"
    write_empty_safetensors(path, shapes)
    check_checkpoint(path, VGGTConfig.preset("vggt-1b"))
    wrong = dict(shapes)
    wrong["track_head.tracker.updateformer.virtual_tracks"] = wrong.pop(
        "track_head.tracker.updateformer.virual_tracks"
    )
    write_empty_safetensors(path, wrong)
    with pytest.raises(WeightsError, match=r"missing: .*virual_tracks; .*unknown: .*virtual_track"):
        check_checkpoint(path, VGGTConfig.preset("vggt-1b"))


def write_empty_safetensors(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Write a header and let the file system imagine zeros."""
    header: dict[str, object] = {}
    end = 0
    for key, shape in shapes.items():
        start, end = end, end + 4 * torch.Size(shape).numel()
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)


def test_nothing_but_the_network_is_needed_after_loading(state: State, tmp_path: Path) -> None:
    """No part of the network is left without values when it was built without memory."""
    model: nn.Module = load_vggt(one_safetensors(state, tmp_path), SMALL_VGGT)
    assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))
