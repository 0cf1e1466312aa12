"""Checkpoints are small files, whole or not there, and the one before is still around."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vggt_sfm.errors import WeightsError
from vggt_sfm.training import checkpoints
from vggt_sfm.training.checkpoints import (
    FILE_LIMIT,
    Snapshot,
    load_snapshot,
    load_weights,
    save_snapshot,
)


def snapshot(step: int) -> Snapshot:
    value = float(step)
    tensors = {
        "model.weight": torch.full((3, 2), value),
        "model.scale": torch.tensor(value),
        "average.weight": torch.full((3, 2), value + 0.5),
    }
    return Snapshot(tensors=tensors, numbers={"step": step, "seed": 3, "cpu_seconds": 0.1})


def stored(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def loaded_step(folder: Path) -> float:
    found = load_snapshot(folder)
    assert found is not None
    return found.numbers["step"]


def cut_short(folder: Path) -> str:
    part = folder / "part-0000.safetensors"
    part.write_bytes(part.read_bytes()[:-3])
    return part.name


def flip_a_bit(folder: Path) -> str:
    part = folder / "part-0000.safetensors"
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    return part.name


def lose_a_part(folder: Path) -> str:
    (folder / "part-0000.safetensors").unlink()
    return "part-0000.safetensors"


def garble_the_index(folder: Path) -> str:
    (folder / "index.json").write_text("{")
    return "index.json"


DAMAGES = [cut_short, flip_a_bit, lose_a_part, garble_the_index]


def test_what_was_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "model.large": torch.randn(5, 1_000_003, generator=generator),  # 20 MB
        "model.half": torch.randn(7, generator=generator).bfloat16(),
        "step.large": torch.tensor(4.0),
        "model.empty": torch.zeros(0, 3),
    }
    save_snapshot(tmp_path, Snapshot(tensors=tensors, numbers={"step": 1}))
    files = list((tmp_path / "step-00000001").iterdir())
    assert len(files) == 3
    assert all(file.stat().st_size <= FILE_LIMIT for file in files)
    found = load_snapshot(tmp_path)
    assert found is not None
    assert set(found.tensors) == set(tensors)
    for name, tensor in tensors.items():
        torch.testing.assert_close(found.tensors[name], tensor, rtol=0, atol=0)


def test_the_last_two_are_kept_and_none_of_a_dropped_future(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_snapshot(tmp_path, snapshot(step))
    assert stored(tmp_path) == ["step-00000002", "step-00000003"]
    save_snapshot(tmp_path, snapshot(2))
    assert stored(tmp_path) == ["step-00000002"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, damage: Callable[[Path], str], caplog: pytest.LogCaptureFixture
) -> None:
    save_snapshot(tmp_path, snapshot(1))
    save_snapshot(tmp_path, snapshot(2))
    name = damage(tmp_path / "step-00000002")
    with caplog.at_level(logging.WARNING):
        assert loaded_step(tmp_path) == 1
    (warning,) = caplog.messages
    assert f"step-00000002/{name}" in warning
    assert "\n" not in warning


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_without_another_is_named(
    tmp_path: Path, damage: Callable[[Path], str]
) -> None:
    save_snapshot(tmp_path, snapshot(1))
    name = damage(tmp_path / "step-00000001")
    with pytest.raises(WeightsError, match=name) as caught:
        load_snapshot(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_run_that_dies_while_it_writes_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_snapshot(tmp_path, snapshot(1))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_file", full)
        with pytest.raises(OSError, match="No space"):
            save_snapshot(tmp_path, snapshot(2))
    assert loaded_step(tmp_path) == 1
    save_snapshot(tmp_path, snapshot(2))
    assert stored(tmp_path) == ["step-00000001", "step-00000002"]


def test_weights_are_the_averaged_ones_where_there_are_some(tmp_path: Path) -> None:
    save_snapshot(tmp_path, snapshot(4))
    weights, numbers = load_weights(tmp_path)
    assert float(weights["weight"][0, 0]) == 4.5
    assert float(weights["scale"]) == 4
    assert numbers["seed"] == 3
    shutil.rmtree(tmp_path / "step-00000004")
    with pytest.raises(WeightsError, match="holds no checkpoint"):
        load_weights(tmp_path)


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "old.pt").write_bytes(b"an old checkpoint")
    with pytest.raises(WeightsError, match=r"old\.pt: is a file"):
        load_snapshot(tmp_path / "old.pt")
