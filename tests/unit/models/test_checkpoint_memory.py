"""What is read of a checkpoint, how it is mapped, and the memory that takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoints import SMALL_VGGT, Save, State, legacy_pt, one_pt, one_safetensors, shards

from vggt_sfm.errors import WeightsError
from vggt_sfm.models import checkpoint
from vggt_sfm.models.checkpoint import check_checkpoint, load_vggt
from vggt_sfm.models.checkpoint_files import Safetensors, ZippedPickle

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


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
    config = replace(SMALL_VGGT, enable_point=False, enable_track=False)
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
    check_checkpoint(path, SMALL_VGGT)
    with pytest.raises(WeightsError):
        check_checkpoint(path, replace(SMALL_VGGT, depth=3))
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
    load_vggt(path, SMALL_VGGT)
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
    model = load_vggt(path, SMALL_VGGT, precision="bfloat16")
    mapped = mappings_of(path)
    for key, value in model.state_dict().items():
        is_mapped = any(value.data_ptr() in addresses for addresses in mapped)
        assert is_mapped == (value.dtype == torch.float32), key
    del model, value
    assert not mappings_of(path)


@on_linux
def test_no_mapping_stays_open_where_everything_was_converted(state: State, tmp_path: Path) -> None:
    path = one_pt({key: value.half() for key, value in state.items()}, tmp_path)
    model = load_vggt(path, SMALL_VGGT)
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
    model = load_vggt(path, SMALL_VGGT, device=elsewhere, precision="bfloat16")
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
    here = load_vggt(path, SMALL_VGGT, precision=precision).state_dict()
    there = load_vggt(
        path, SMALL_VGGT, device=torch.device("cuda"), precision=precision
    ).state_dict()
    for key, value in here.items():
        assert there[key].is_cuda
        assert torch.equal(there[key].cpu(), value), key


@pytest.mark.parametrize("save", [one_safetensors, one_pt])
def test_a_changed_model_does_not_change_its_file(state: State, tmp_path: Path, save: Save) -> None:
    path = save(state, tmp_path)
    path.chmod(0o444)
    before = path.read_bytes()
    for parameter in load_vggt(path, SMALL_VGGT).parameters():
        parameter.zero_()
    assert path.read_bytes() == before


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
