"""Which files a checkpoint consists of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vggt_sfm.errors import WeightsError
from vggt_sfm.models.shards import checkpoint_entry, checkpoint_parts


def _index(folder: Path, *shards: str) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {f"t{i}": s for i, s in enumerate(shards)}}))
    return path


def test_a_file_stands_for_itself_and_a_folder_for_its_only_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.touch()
    (tmp_path / "README.md").touch()
    assert checkpoint_entry(path) == checkpoint_entry(tmp_path) == path
    assert checkpoint_parts(path) == (path,)


def test_the_index_stands_for_the_shards_of_a_folder(tmp_path: Path) -> None:
    index = _index(tmp_path, "b.safetensors", "a.safetensors", "b.safetensors")
    for name in "ab":
        (tmp_path / f"{name}.safetensors").touch()
    assert checkpoint_entry(tmp_path) == index
    assert checkpoint_parts(index) == tuple(tmp_path / f"{name}.safetensors" for name in "ab")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.pt: no such file or folder; .*--model NAME"):
        checkpoint_entry(tmp_path / "gone.pt")
    with pytest.raises(WeightsError, match=r"must hold one checkpoint, there are 0 \(none\)"):
        checkpoint_entry(tmp_path)
    with pytest.raises(WeightsError, match=r"1 of 1 shards are missing, fetch them: a\.safe"):
        checkpoint_parts(_index(tmp_path, "a.safetensors"))
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).touch()
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(WeightsError, match=r"there are 2 \(a\.pt, b\.pt\)"):
        checkpoint_entry(tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "", "..", "a\\b"])
def test_shards_lie_beside_their_index(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="shards must lie beside it"):
        checkpoint_parts(_index(tmp_path, name))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": {"x": 3}}', "\xff"])
def test_a_damaged_index_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(WeightsError, match=r"model\.safetensors\.index\.json: "):
        checkpoint_parts(path)
