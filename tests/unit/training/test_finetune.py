"""A user trains weights on scenes of theirs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from painted import SMALL, write_scene
from safetensors.torch import load_file, save_file

from vggt_sfm.models import VGGT
from vggt_sfm.models.checkpoint import load_vggt
from vggt_sfm.training.curves import read_log
from vggt_sfm.training.finetune import main

ALL_OFF = [w for task in ("camera", "depth", "points", "tracks") for w in ("--without", task)]


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """The command sets up logging for a process of its own."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A scene, an architecture and weights of it."""
    write_scene(tmp_path / "scenes" / "room")
    (tmp_path / "small.json").write_text(json.dumps(asdict(SMALL)))
    torch.manual_seed(0)
    save_file(VGGT(SMALL).state_dict(), tmp_path / "start.safetensors")
    return tmp_path


def finetune(folder: Path, *more: str) -> Result:
    options = ["--architecture", "small.json", "--scenes", "scenes", "--device", "cpu"]
    options += ["--weights", "start.safetensors", "--output", "out/tuned.safetensors"]
    options += ["--frames-per-step", "4", "--frames", "2", "3", "--steps", "2", "--warm-up", "1"]
    paths = {"small.json", "scenes", "start.safetensors", "out/tuned.safetensors"}
    given = [str(folder / o) if o in paths else o for o in options]
    return CliRunner().invoke(main, [*given, *more])


def test_weights_are_trained_and_can_be_loaded(workplace: Path) -> None:
    done = finetune(workplace, "--freeze", "aggregator.patch_embed", "--rate", "1e-3")
    assert done.exit_code == 0, done.output
    before = load_file(workplace / "start.safetensors")
    after = load_vggt(workplace / "out" / "tuned.safetensors", SMALL).state_dict()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor) is name.startswith("aggregator.patch_embed"), name
    assert (workplace / "out" / "tuned" / "curves" / "loss.svg").exists()
    assert len(read_log(workplace / "out" / "tuned")) == 2


def test_heads_that_are_left_out_are_taken_over(workplace: Path) -> None:
    done = finetune(workplace, "--without", "tracks", "--without", "points", "--no-average")
    assert done.exit_code == 0, done.output
    before = load_file(workplace / "start.safetensors")
    after = load_vggt(workplace / "out" / "tuned.safetensors", SMALL).state_dict()
    for name, tensor in before.items():
        untouched = name.startswith(("track_head", "point_head"))
        assert torch.equal(after[name], tensor) is untouched, name


def test_without_weights_training_starts_from_nothing(workplace: Path) -> None:
    options = ["--architecture", str(workplace / "small.json"), "--device", "cpu", "--steps", "1"]
    options += ["--scenes", str(workplace / "scenes"), "--frames-per-step", "3"]
    options += ["--output", str(workplace / "new.safetensors")]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 0, done.output
    load_vggt(workplace / "new.safetensors", SMALL)


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (["--rate", "fast"], "--rate fast: is neither a number nor GLOB=NUMBER", 3),
        (["--rate", "neck=1e-3"], "no parameter fits 'neck'", 3),
        (["--freeze", "*"], "nothing is left to train", 3),
        (["--frames", "5", "6"], "4 frames cannot be dealt out", 3),
        (["--scenes", "nowhere"], "nowhere: no such folder", 3),
        (["--architecture", "nowhere.json"], "nowhere.json: is no architecture", 3),
        (["--weights", "nowhere.pt"], "nowhere.pt", 4),
        (ALL_OFF, "all tasks are off", 3),
    ],
)
def test_mistakes_are_one_line(
    workplace: Path, options: list[str], message: str, code: int
) -> None:
    done = finetune(workplace, *options)
    assert done.exit_code == code
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert message in line
