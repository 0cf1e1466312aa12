"""Files that are no checkpoint, or not of this architecture, are refused by name."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoints import (
    SMALL_VGGT,
    Save,
    State,
    legacy_pt,
    newer_pickle_protocol,
    one_pt,
    one_safetensors,
    shards,
)
from safetensors.torch import save_file

from vggt_sfm.errors import WeightsError
from vggt_sfm.models.checkpoint import check_checkpoint, load_vggt

KEY = "aggregator.camera_token"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop(KEY), rf"is incomplete \(1 tensors missing: {KEY}\)"),
        (
            lambda s: s.update({"aggregator.odd": torch.zeros(1)}),
            r"1 tensors unknown: aggregator\.odd",
        ),
        (lambda s: s.update({"camera_head.odd": torch.zeros(1)}), r"unknown: camera_head\.odd"),
        (lambda s: s.update({"odd": torch.zeros(1)}), r"unknown: odd"),
        (
            lambda s: s.update({KEY: torch.zeros(3)}),
            r"another shape: aggregator.camera_token \(3,\) instead of \(1, 2, 1, 32\)",
        ),
        (
            lambda s: s.update({KEY: s[KEY].to(torch.int8)}),
            rf"is quantised.*1 tensors not floating-point: {KEY}",
        ),
        (
            lambda s: [s.pop(k) for k in list(s) if k.startswith("track_head")],
            r"has no track_head; .*or --predict.no-track-head .*: (track_head\.[\w.]+, ){5}…\)",
        ),
        (
            lambda s: [s.update({"net." + k: s.pop(k)}) for k in list(s)],
            r"another architecture.* missing: (aggregator[\w.]+, ){2}…; .*unknown: net\.aggregator",
        ),
    ],
)
@pytest.mark.parametrize("save", [one_safetensors, one_pt])
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(
    state: State, tmp_path: Path, change: Callable[[State], object], message: str, save: Save
) -> None:
    wrong = {key: value.clone() for key, value in state.items()}
    change(wrong)
    path = save(wrong, tmp_path)
    for use in (load_vggt, check_checkpoint):
        with pytest.raises(WeightsError, match=rf"{path}: .*{message}"):
            use(path, SMALL_VGGT)


def test_a_vggt_of_other_sizes_is_recognised(state: State, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="VGGT of other sizes"):
        load_vggt(one_pt(state, tmp_path), replace(SMALL_VGGT, embed_dim=64))


class _Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("save", [one_pt, legacy_pt])
@pytest.mark.parametrize("place", ["tensor", "optimizer"])
def test_nothing_in_a_pickle_is_executed(
    state: State,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    save: Callable[[object, Path], Path],
    place: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    evil = {**state, KEY: _Malicious()} if place == "tensor" else None
    path = save(evil or {"model": state, "optimizer": _Malicious()}, tmp_path)
    for use in (load_vggt, check_checkpoint):
        with pytest.raises(WeightsError, match=r"posix\.mkdir.*could run code; nothing of it was"):
            use(path, SMALL_VGGT)
    assert not (tmp_path / "executed").exists()


def test_program_code_is_refused_before_torch_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("was opened"))
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}))
        archive.writestr("model/constants.pkl", pickle.dumps(()))
    with pytest.raises(WeightsError, match="TorchScript"):
        load_vggt(tmp_path / "script.pt", SMALL_VGGT)


def test_a_compressed_archive_is_refused_and_not_misread(state: State, tmp_path: Path) -> None:
    path = one_pt(state, tmp_path)
    packed = tmp_path / "packed.pt"
    with (
        zipfile.ZipFile(path) as plain,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))
    with pytest.raises(WeightsError, match=r"packed\.pt: was compressed"):
        load_vggt(packed, SMALL_VGGT)


def cut(save: Callable[[State, Path], Path], at: float) -> Save:
    def make(state: State, folder: Path) -> Path:
        path = save(state, folder)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * at)])
        return path

    return make


def content(content: bytes, name: str) -> Save:
    def make(state: State, folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def pickled(value: object) -> Save:
    return lambda state, folder: one_pt(value, folder)


def symlink_loop(state: State, folder: Path) -> Path:
    (folder / "a.pt").symlink_to(folder / "b.pt")
    (folder / "b.pt").symlink_to(folder / "a.pt")
    return folder / "a.pt"


def fifo(state: State, folder: Path) -> Path:
    os.mkfifo(folder / "pipe.pt")
    return folder / "pipe.pt"


def two_files(state: State, folder: Path) -> Path:
    one_pt(state, folder)
    return one_safetensors(state, folder).parent


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda state, folder: folder / "no.pt", "No such file"),
        (lambda state, folder: folder / "a\0b", "null"),
        (symlink_loop, "symbolic links"),
        (fifo, "no regular file"),
        (lambda state, folder: folder, r"must hold one checkpoint, there are 0 \(none\)"),
        (two_files, r"there are 2 \(model\.pt, model\.safetensors\)"),
        (content(b"", "empty.pt"), "is empty"),
        (content(b"not a checkpoint", "text.pt"), "is no checkpoint"),
        (content(b"\n<!DOCTYPE html><html>", "page.safetensors"), "is a web page"),
        (content(b"version https://git-lfs.github.com/spec/v1", "x.bin"), "git lfs pull"),
        (content(b"\x1f\x8b\x08\x00", "x.pt.gz"), "unpack it"),
        (content(b"{}", "x.index.json"), "no weight_map"),
        (content(b"{", "x.index.json"), "JSON"),
        (content(b"[" * 100_000, "x.index.json"), "JSON"),
        (content(b"\2\0\0\0\0\0\0\0{}", "none.safetensors"), "holds no tensors"),
        (content(b"\xff" * 8 + b"{}", "long.safetensors"), "damaged"),
        (cut(one_safetensors, 0.9), "damaged or cut short, fetch it again"),
        (cut(one_safetensors, 0.001), "damaged or cut short, fetch it again"),
        (cut(one_pt, 0.9), "damaged or cut short, fetch it again"),
        (cut(legacy_pt, 0.9), "damaged or cut short, fetch it again"),
        (cut(legacy_pt, 0.01), "damaged or cut short, fetch it again"),
        (content(b"\x80\x02garbage", "x.pt"), r"damaged or cut short"),
        (newer_pickle_protocol, "or its pickle protocol is not torch's"),
        (pickled({}), "holds no tensors"),
        (pickled([torch.zeros(1)]), "holds a list"),
        (pickled({1: torch.zeros(1)}), "not tensors by name"),
        (pickled({"a\nb\33[31m": 1.0}), r"a\?b\?\[31m is no plain tensor"),
        (pickled({"a\nb\33[31m": torch.zeros(1)}), r"unknown: a\?b\?\[31m"),
        (pickled({KEY: 1.0}), "aggregator.camera_token is no plain tensor but a float"),
        (pickled({KEY: torch.zeros(3).to_sparse()}), "no plain tensor"),
        (pickled({KEY: torch.zeros(3, device="meta")}), "no plain tensor"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(
    state: State, tmp_path: Path, make: Save, message: str
) -> None:
    path = make(state, tmp_path)
    for use in (load_vggt, check_checkpoint):
        with pytest.raises(WeightsError, match=message) as caught:
            use(path, SMALL_VGGT)
        text = str(caught.value)
        assert text.startswith(str(path))
        assert len(text.splitlines()) == 1
        assert "\33" not in text


def test_missing_shards_are_named(state: State, tmp_path: Path) -> None:
    index = shards(state, tmp_path)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"1 of 3 shards are missing.*: model-00002-of-00003"):
        load_vggt(index, SMALL_VGGT)


def test_a_damaged_shard_is_named(state: State, tmp_path: Path) -> None:
    index = shards(state, tmp_path)
    shard = tmp_path / "model-00002-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"model-00002-of-00003\.safetensors: is damaged"):
        load_vggt(index, SMALL_VGGT)


def test_a_shard_of_another_checkpoint_is_named(state: State, tmp_path: Path) -> None:
    index = shards(state, tmp_path)
    save_file({"odd": torch.zeros(1)}, tmp_path / "model-00003-of-00003.safetensors")
    with pytest.raises(WeightsError, match=r"00003\.safetensors: does not belong to model.*: agg"):
        load_vggt(index, SMALL_VGGT)


@pytest.mark.parametrize("name", ["../x.pt", "/x.pt", "sub/x.pt", "..", "", "..\\x.pt", "C:x.pt"])
def test_an_index_does_not_lead_out_of_its_folder(state: State, tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    one_pt(state, tmp_path).rename(tmp_path / "x.pt")
    index = tmp_path / "in" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(state, name)}))
    with pytest.raises(WeightsError, match="shards must lie beside it"):
        load_vggt(index, SMALL_VGGT)
