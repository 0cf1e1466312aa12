"""Checkpoints of the VGGT architecture: loaded strictly, or refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vggt_sfm._log import SilentProgress
from vggt_sfm.errors import WeightsError
from vggt_sfm.inference import open_predictor
from vggt_sfm.models import VGGT, VGGTConfig
from vggt_sfm.models.choice import PredictConfig, model_preprocessing
from vggt_sfm.models.weights import load_vggt
from vggt_sfm.scene import Frame, PixelMap, Scene, Size

TINY = VGGTConfig(
    embed_dim=32,
    depth=2,
    num_heads=2,
    num_register_tokens=2,
    patch_embed="conv",
    camera_depth=1,
    camera_heads=2,
    dpt_features=16,
    dpt_channels=(8, 8, 16, 16),
    dpt_layers=(0, 0, 1, 1),
    enable_point=False,
)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return VGGT(TINY).state_dict()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_checkpoint_comes_back_whole(
    state: dict[str, torch.Tensor], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"weights{suffix}"
    # tensors of heads that are not built are no reason to refuse
    whole = {**state, "track_head.tracker.fmap_norm.weight": torch.zeros(4)}
    save_file(whole, path) if suffix == ".safetensors" else torch.save(whole, path)
    loaded = load_vggt(path, TINY).state_dict()
    assert list(loaded) == list(state)
    for key, value in state.items():
        torch.testing.assert_close(loaded[key], value, rtol=0, atol=0)


def test_a_missing_an_unknown_and_a_misshapen_tensor_are_named(
    state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    key = "aggregator.camera_token"
    for wrong in (
        {k: v for k, v in state.items() if k != key},
        {**state, "aggregator.unknown": torch.zeros(1)},
        {**state, key: torch.zeros(3)},
    ):
        save_file(wrong, tmp_path / "w.safetensors")
        with pytest.raises(WeightsError, match=r"camera_token|aggregator\.unknown"):
            load_vggt(tmp_path / "w.safetensors", TINY)


class _Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("executed",)


def test_nothing_in_a_pickle_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"aggregator.camera_token": _Malicious()}, tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match=r"evil\.pt"):
        load_vggt(tmp_path / "evil.pt", TINY)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["no.pt", "text.pt", "text.safetensors", "cut.safetensors"])
def test_files_that_are_no_checkpoints_are_refused(
    state: dict[str, torch.Tensor], tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    if name.startswith("text"):
        path.write_text("not a checkpoint")
    elif name.startswith("cut"):
        save_file(state, path)
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        load_vggt(path, TINY)


def test_a_checkpoint_predicts_a_scene(
    state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VGGTConfig, "preset", classmethod(lambda cls, name: TINY))
    save_file(state, tmp_path / "w.safetensors")
    config = PredictConfig(weights=tmp_path / "w.safetensors", device="cpu")
    assert model_preprocessing(config).multiple == 14
    predictor = open_predictor(config)
    size = Size(84, 56)
    same = PixelMap(original=size, network=size, scale=(1.0, 1.0), offset=(0.0, 0.0))
    frames = tuple(Frame(name=f"{s}", path="", size=size, sha256="") for s in range(3))
    images = np.random.default_rng(0).random((3, 3, 56, 84), dtype=np.float32)
    scene = Scene(frames=frames, pixel_maps=(same,) * 3)
    found = predictor(images, scene, SilentProgress())
    assert found.cam_from_world.shape == (3, 3, 4)
    assert found.depth.shape == found.depth_confidence.shape == (3, 56, 84)
    np.testing.assert_allclose(found.intrinsics[:, :2, 2], np.tile([42.0, 28.0], (3, 1)))
    assert found.camera_sources == ("camera head",) * 3
    assert found.matches is None
    assert len(predictor.weights_sha256) == 64
