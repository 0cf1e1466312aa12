"""A small VGGT with random weights, and the kinds of files that such weights come in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vggt_sfm.models import VGGT, VGGTConfig

State = dict[str, Tensor]
Save = Callable[[State, Path], Path]

SMALL_VGGT = VGGTConfig(
    img_size=28,
    embed_dim=32,
    depth=2,
    num_heads=2,
    num_register_tokens=2,
    encoder_depth=1,
    encoder_heads=2,
    camera_depth=1,
    camera_heads=2,
    dpt_features=16,
    dpt_channels=(8, 8, 16, 16),
    dpt_layers=(0, 0, 1, 1),
    track_features=8,
    track_corr_levels=2,
    track_corr_radius=1,
    track_hidden=16,
)


def random_state() -> State:
    """Every tensor of every head, none of them all zeros or ones."""
    torch.manual_seed(0)
    model = VGGT(SMALL_VGGT)
    return {key: torch.randn(value.shape) / 8 for key, value in model.state_dict().items()}


def one_safetensors(state: State, folder: Path) -> Path:
    save_file(state, folder / "model.safetensors")
    return folder / "model.safetensors"


def one_pt(state: object, folder: Path) -> Path:
    torch.save(state, folder / "model.pt")
    return folder / "model.pt"


def legacy_pt(state: object, folder: Path) -> Path:
    torch.save(state, folder / "model.pth", _use_new_zipfile_serialization=False)
    return folder / "model.pth"


def pt_of_parameters(state: State, folder: Path) -> Path:
    return one_pt({key: nn.Parameter(value) for key, value in state.items()}, folder)


def newer_pickle_protocol(state: State, folder: Path) -> Path:
    torch.save(state, folder / "model.bin", pickle_protocol=4)
    return folder / "model.bin"


def shards(state: State, folder: Path) -> Path:
    names = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    places = {key: names[i % 3] for i, key in enumerate(state)}
    for name in names:
        save_file({k: v for k, v in state.items() if places[k] == name}, folder / name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


def folder_of_shards(state: State, folder: Path) -> Path:
    return shards(state, folder).parent


def folder_of_one_file(state: State, folder: Path) -> Path:
    (folder / "README.md").write_text("not a checkpoint")
    return one_safetensors(state, folder).parent


def without_suffix(state: State, folder: Path) -> Path:
    return one_safetensors(state, folder).rename(folder / "5f3c")


def training_checkpoint(state: State, folder: Path) -> Path:
    wrapped = {f"module.{key}": value for key, value in state.items()}
    optimizer = {"state": {0: {"step": torch.tensor(3)}}, "param_groups": [{"lr": 1e-4}]}
    return one_pt({"epoch": 3, "optimizer": optimizer, "model": wrapped}, folder)


def nested_state_dict(state: State, folder: Path) -> Path:
    return legacy_pt({"state_dict": state}, folder)


def wrapped_safetensors(state: State, folder: Path) -> Path:
    return one_safetensors({f"module.{key}": value for key, value in state.items()}, folder)
