"""The check of checkpoints of VGGT-1B's shape, on a model that fits into a test."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from click.testing import CliRunner

from vggt_sfm.benchmarks import checkpoints, seeded_checkpoint
from vggt_sfm.benchmarks.child import Finished
from vggt_sfm.benchmarks.goldens import TINY, seeded_model
from vggt_sfm.errors import CapabilityError, GateError
from vggt_sfm.models.checkpoint import load_vggt

Report = dict[str, Any]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeded_checkpoint, "_MODEL", "tiny")


def test_every_format_holds_the_weights_of_the_goldens(shared_dir: Path, tmp_path: Path) -> None:
    spec = shared_dir / "spec"
    expected = seeded_model(spec / "golden", TINY).state_dict()
    formats = tuple(seeded_checkpoint.FORMATS)
    seeded_checkpoint.make_checkpoints(spec, tmp_path, formats)
    assert len(list(tmp_path.glob("vggt_1b_sharded/*.safetensors"))) == 3
    for name in formats:
        loaded = load_vggt(seeded_checkpoint.checkpoint_path(tmp_path, name), TINY).state_dict()
        for key, value in expected.items():
            stored = value.half().float() if name == "float16" else value
            assert torch.equal(loaded[key], stored), (name, key)


def test_what_is_there_is_used_and_what_is_half_there_is_not(
    shared_dir: Path, tmp_path: Path
) -> None:
    spec = shared_dir / "spec"
    (tmp_path / "vggt_1b.pt").write_text("kept")
    (tmp_path / "partial-vggt_1b.safetensors").write_text("of a run that broke off")
    (tmp_path / "partial-vggt_1b_sharded").mkdir()
    (tmp_path / "partial-vggt_1b_sharded" / "x").write_text("of a run that broke off")
    seeded_checkpoint.make_checkpoints(spec, tmp_path, ("pt", "safetensors", "sharded"))
    assert (tmp_path / "vggt_1b.pt").read_text() == "kept"
    load_vggt(tmp_path / "vggt_1b.safetensors", TINY)
    load_vggt(tmp_path / "vggt_1b_sharded", TINY)
    assert not list(tmp_path.glob("partial-*"))


def test_a_full_disk_is_told_before_anything_is_written(
    shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int = 10**9

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage())
    with pytest.raises(CapabilityError, match="2 GB are needed and 1 GB are free"):
        seeded_checkpoint.make_checkpoints(shared_dir / "spec", tmp_path, ("pt",))
    assert not list(tmp_path.iterdir())


def report(**changes: float) -> Report:
    return {"weights": 1e9, "peak_loaded": 1.6e9, "peak_read": 1.6e9, "seconds": 1.0, **changes}


@pytest.mark.parametrize(
    ("changes", "exit_code", "word"),
    [
        ({}, 0, "yes"),
        ({"peak_loaded": 1.71e9}, GateError.exit_code, "NO"),
        ({"peak_read": 1.71e9}, GateError.exit_code, "NO"),
    ],
)
def test_more_memory_than_allowed_fails_the_gate(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: Report,
    exit_code: int,
    word: str,
) -> None:
    monkeypatch.setattr(checkpoints, "run", lambda *command: Finished(0, "", 1, 1.0))
    monkeypatch.setattr(checkpoints, "measure_load", lambda path, precision: report(**changes))
    arguments = ["--spec", str(tmp_path), "--data", str(tmp_path), "-o", str(tmp_path)]
    done = CliRunner().invoke(checkpoints.main, [*arguments, "--format", "pt", "--run", "none"])
    assert done.exit_code == exit_code
    assert "| pt | bfloat16 | 1.00 | " in done.output
    assert f"| 1.70 | {word} |" in done.output
