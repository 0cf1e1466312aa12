"""Checkpoints of the VGGT architecture: loaded strictly and within memory, or refused by name."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vggt_sfm.benchmarks.goldens import manifest
from vggt_sfm.errors import WeightsError
from vggt_sfm.models import VGGT, VGGTConfig, checkpoint
from vggt_sfm.models.checkpoint import check_checkpoint, load_vggt
from vggt_sfm.models.checkpoint_files import Safetensors, ZippedPickle

State = dict[str, Tensor]
Save = Callable[[State, Path], Path]

CONFIG = VGGTConfig(
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
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def state() -> State:
    """Every tensor of every head, none of them all zeros or ones."""
    torch.manual_seed(0)
    return {key: torch.randn(value.shape) / 8 for key, value in VGGT(CONFIG).state_dict().items()}


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
    check_checkpoint(path, CONFIG)
    model = load_vggt(path, CONFIG)
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
    full, half = (load_vggt(path, CONFIG, precision=p) for p in ("float32", "bfloat16"))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected, found = full(images, queries), half(images, queries)
    for name in ("pose_enc_iters", "depth", "depth_conf", "world_points", "track_iters", "vis"):
        values = getattr(found, name)
        assert torch.isfinite(values).all()
        assert torch.equal(getattr(expected, name), values), name


def test_bfloat16_is_for_matrices_and_convolutions_of_the_aggregator(
    state: State, tmp_path: Path
) -> None:
    model = load_vggt(one_pt(state, tmp_path), CONFIG, precision="bfloat16")
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
        model = load_vggt(path, CONFIG, precision="bfloat16")
    assert not any(parameter.is_inference() for parameter in model.parameters())


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names that were read through each mapping of a file, in order."""
    seen: list[list[str]] = []
    for kind in (Safetensors, ZippedPickle):
        original = kind.read

        def read(
            self: object, names: Collection[str], original: Callable[..., State] = original
        ) -> State:
            seen.append(list(names))
            return original(self, names)

        monkeypatch.setattr(kind, "read", read)
    return seen


@pytest.mark.parametrize("save", [one_safetensors, one_pt, shards])
def test_heads_that_are_not_built_are_not_read(
    state: State, tmp_path: Path, reads: list[list[str]], save: Save
) -> None:
    config = replace(CONFIG, enable_point=False, enable_track=False)
    extra = {"track_head.of_another_make": torch.zeros(3, dtype=torch.int64)}
    model = load_vggt(save({**state, **extra}, tmp_path), config)
    assert model.track_head is None
    parts = {name.split(".")[0] for names in reads for name in names}
    assert parts == {"aggregator", "camera_head", "depth_head"}


@pytest.mark.parametrize("save", [one_safetensors, one_pt, legacy_pt, shards])
def test_a_check_reads_no_tensor(
    state: State, tmp_path: Path, reads: list[list[str]], save: Save
) -> None:
    path = save(state, tmp_path)
    check_checkpoint(path, CONFIG)
    with pytest.raises(WeightsError):
        check_checkpoint(path, replace(CONFIG, depth=3))
    assert not reads


@pytest.mark.parametrize("save", [one_safetensors, one_pt])
def test_conversion_reads_a_bounded_part_of_the_file_at_a_time(
    state: State,
    tmp_path: Path,
    reads: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    save: Save,
) -> None:
    limit = 100_000
    monkeypatch.setattr(checkpoint, "_BYTES_PER_MAPPING", limit)
    path = save({key: value.half() for key, value in state.items()}, tmp_path)
    load_vggt(path, CONFIG)
    largest = max(value.numel() * 2 for value in state.values())
    sizes = [sum(state[name].numel() * 2 for name in names) for names in reads]
    assert sum(sizes) == sum(value.numel() * 2 for value in state.values())
    assert max(sizes) < limit + largest
    assert len(sizes) > 3


def mappings_of(path: Path) -> list[range]:
    """Addresses at which this process has mapped a file."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    bounds = [line.split()[0].split("-") for line in lines if line.endswith(str(path))]
    return [range(int(start, 16), int(end, 16)) for start, end in bounds]


@on_linux
@pytest.mark.parametrize("save", [one_safetensors, one_pt])
def test_what_needs_no_conversion_is_mapped_and_what_does_is_not(
    state: State, tmp_path: Path, save: Save
) -> None:
    path = save(state, tmp_path)
    model = load_vggt(path, CONFIG, precision="bfloat16")
    mapped = mappings_of(path)
    for key, value in model.state_dict().items():
        is_mapped = any(value.data_ptr() in addresses for addresses in mapped)
        assert is_mapped == (value.dtype == torch.float32), key
    del model, value
    assert not mappings_of(path)


@on_linux
def test_no_mapping_stays_open_where_everything_was_converted(state: State, tmp_path: Path) -> None:
    path = one_pt({key: value.half() for key, value in state.items()}, tmp_path)
    model = load_vggt(path, CONFIG)
    assert not mappings_of(path)
    del model


@on_linux
def test_tensors_for_another_device_go_there_one_by_one(
    state: State,
    tmp_path: Path,
    reads: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoint, "_BYTES_PER_MAPPING", 100_000)
    path = one_safetensors(state, tmp_path)
    elsewhere = torch.device("meta")  # the one other device that every machine has
    model = load_vggt(path, CONFIG, device=elsewhere, precision="bfloat16")
    assert all(parameter.is_meta for parameter in model.parameters())
    assert model.aggregator.frame_blocks[0].mlp.fc1.weight.dtype == torch.bfloat16
    assert sum(map(len, reads)) == len(state)
    assert max(map(len, reads)) < len(state) / 3
    assert not mappings_of(path)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_values_arrive_on_a_gpu(
    state: State, tmp_path: Path, precision: checkpoint.WeightsPrecision
) -> None:
    path = one_safetensors(state, tmp_path)
    here = load_vggt(path, CONFIG, precision=precision).state_dict()
    there = load_vggt(path, CONFIG, device=torch.device("cuda"), precision=precision).state_dict()
    for key, value in here.items():
        assert there[key].is_cuda
        assert torch.equal(there[key].cpu(), value), key


@pytest.mark.parametrize("save", [one_safetensors, one_pt])
def test_a_changed_model_does_not_change_its_file(state: State, tmp_path: Path, save: Save) -> None:
    path = save(state, tmp_path)
    path.chmod(0o444)
    before = path.read_bytes()
    for parameter in load_vggt(path, CONFIG).parameters():
        parameter.zero_()
    assert path.read_bytes() == before


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
    load_vggt(path, CONFIG, precision="bfloat16", progress=recorder)
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
            use(path, CONFIG)


def test_a_vggt_of_other_sizes_is_recognised(state: State, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="VGGT of other sizes"):
        load_vggt(one_pt(state, tmp_path), replace(CONFIG, embed_dim=64))


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
            use(path, CONFIG)
    assert not (tmp_path / "executed").exists()


def test_program_code_is_refused_before_torch_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("was opened"))
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}))
        archive.writestr("model/constants.pkl", pickle.dumps(()))
    with pytest.raises(WeightsError, match="TorchScript"):
        load_vggt(tmp_path / "script.pt", CONFIG)


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
        load_vggt(packed, CONFIG)


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
            use(path, CONFIG)
        text = str(caught.value)
        assert text.startswith(str(path))
        assert len(text.splitlines()) == 1
        assert "\33" not in text


def test_missing_shards_are_named(state: State, tmp_path: Path) -> None:
    index = shards(state, tmp_path)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"1 of 3 shards are missing.*: model-00002-of-00003"):
        load_vggt(index, CONFIG)


def test_a_damaged_shard_is_named(state: State, tmp_path: Path) -> None:
    index = shards(state, tmp_path)
    shard = tmp_path / "model-00002-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"model-00002-of-00003\.safetensors: is damaged"):
        load_vggt(index, CONFIG)


def test_a_shard_of_another_checkpoint_is_named(state: State, tmp_path: Path) -> None:
    index = shards(state, tmp_path)
    save_file({"odd": torch.zeros(1)}, tmp_path / "model-00003-of-00003.safetensors")
    with pytest.raises(WeightsError, match=r"00003\.safetensors: does not belong to model.*: agg"):
        load_vggt(index, CONFIG)


@pytest.mark.parametrize("name", ["../x.pt", "/x.pt", "sub/x.pt", "..", "", "..\\x.pt", "C:x.pt"])
def test_an_index_does_not_lead_out_of_its_folder(state: State, tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    one_pt(state, tmp_path).rename(tmp_path / "x.pt")
    index = tmp_path / "in" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(state, name)}))
    with pytest.raises(WeightsError, match="shards must lie beside it"):
        load_vggt(index, CONFIG)


def test_nothing_but_the_network_is_needed_after_loading(state: State, tmp_path: Path) -> None:
    """No part of the network is left without values when it was built without memory."""
    model: nn.Module = load_vggt(one_safetensors(state, tmp_path), CONFIG)
    assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))


MEASURE = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from vggt_sfm.models import VGGT, VGGTConfig, checkpoint

heads = dict.fromkeys(("enable_depth", "enable_point", "enable_track"), False)
config = VGGTConfig(
    embed_dim=384, depth=12, num_heads=6, patch_embed="conv", camera_depth=1, **heads
)

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))  # MiB

def write(folder):
    state = {k: torch.zeros(v.shape) for k, v in VGGT(config).state_dict().items()}
    save_file(state, folder / "a.safetensors")
    torch.save(state, folder / "a.pt")

folder = Path(sys.argv[1])
if sys.argv[2] == "write":
    write(folder)
else:
    checkpoint._BYTES_PER_MAPPING = 8 * 2**20
    with torch.device("meta"):
        VGGT(config)  # imports on its own
    for precision in ("float32", "bfloat16"):
        for name in ("a.safetensors", "a.pt"):
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak
            before = status("VmRSS")
            model = checkpoint.load_vggt(folder / name, config, precision=precision)
            size = sum(p.nbytes for p in model.parameters()) / 2**20
            print(precision, name, status("VmHWM") - before, size)
            del model
"""


@on_linux
def test_loading_takes_no_second_copy_of_the_weights(tmp_path: Path) -> None:
    script = tmp_path / "measure.py"
    script.write_text(MEASURE)
    command = [sys.executable, str(script), str(tmp_path)]
    # in processes of their own: a peak is for life
    subprocess.run([*command, "write"], check=True)
    done = subprocess.run([*command, "load"], check=True, capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) == 4
    for precision, name, growth, size in rows:
        assert float(size) > 100
        most = 40 if precision == "float32" else 1.1 * float(size) + 40
        assert float(growth) < most, (precision, name, growth, size)
