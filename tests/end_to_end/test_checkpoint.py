"""A checkpoint of a user's through the real command line; its weights are random and small."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from checkpoints import SMALL_VGGT
from safetensors.torch import save_file

from vggt_sfm.io import hdf5
from vggt_sfm.models import VGGT, VGGTConfig
from vggt_sfm.scene import Predictions, Tracks


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(VGGTConfig, "preset", classmethod(lambda cls, name: SMALL_VGGT))
    torch.manual_seed(0)
    save_file(VGGT(SMALL_VGGT).state_dict(), tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


@pytest.mark.parametrize("point_source", ["depth", "point-head"])
def test_runs_to_the_end(
    folder: Path, checkpoint: Path, point_source: str, reconstruct_cli: Callable[..., object]
) -> None:
    out = folder.parent / "out"
    outcome = reconstruct_cli(
        folder, "-o", out, "--weights", checkpoint, "--point-source", point_source, "--offline",
        "--predict.query-frames", 2, "--predict.query-points", 60,
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.stderr
    model = pycolmap.Reconstruction(out / "sparse" / "0")
    assert len(model.images) == 4
    told = json.loads((out / "run.json").read_text())
    assert told["network"]["name"].startswith("vggt-1b")
    assert told["network"]["licence"] == "not known"
    assert told["network"]["commit"] is None
    assert {image["camera_source"] for image in told["images"]} == {"camera head"}
    assert told["config"]["predict"]["point_source"] == point_source


def test_tracks_start_where_the_point_head_says(
    folder: Path, checkpoint: Path, reconstruct_cli: Callable[..., object]
) -> None:
    seeds = []
    for source in ("depth", "point-head"):
        work = folder.parent / source / "work"
        reconstruct_cli(folder, "-o", work.parent, "--weights", checkpoint, "--until", "track",
                        "--point-source", source, "--predict.no-track-head")  # fmt: skip
        tracks = hdf5.load(next(work.glob("03_track-*.h5")), Tracks)
        predictions = hdf5.load(next(work.glob("02_predict-*.h5")), Predictions)
        assert (predictions.world_points is None) == (source == "depth")
        seeds.append(tracks.xyz)
    assert len(seeds[0]) == len(seeds[1]) > 100
    assert np.abs(seeds[1] - seeds[0]).max(axis=1).min() > 0
    points = predictions.world_points
    assert points is not None
    assert (seeds[1] >= points.min((0, 1, 2))).all()
    assert (seeds[1] <= points.max((0, 1, 2))).all()
    assert not ((seeds[0] >= points.min((0, 1, 2))) & (seeds[0] <= points.max((0, 1, 2)))).all()


def test_the_same_file_elsewhere_is_not_predicted_again(
    folder: Path, checkpoint: Path, reconstruct_cli: Callable[..., object]
) -> None:
    out = folder.parent / "out"
    options = ("--until", "predict", "--predict.no-track-head")
    reconstruct_cli(folder, "-o", out, "--weights", checkpoint, *options)
    moved = checkpoint.rename(checkpoint.with_name("moved.safetensors"))
    reconstruct_cli(folder, "-o", out, "--weights", moved, "--offline", *options)
    told = json.loads((out / "run.json").read_text())
    assert [stage["cached"] for stage in told["stages"]] == [True, True]


def test_commercial_only_refuses_a_file_of_unknown_licence(
    folder: Path, checkpoint: Path, reconstruct_cli: Callable[..., object]
) -> None:
    words = (folder, "-o", folder.parent / "out", "--weights", checkpoint, "--commercial-only")
    outcome = reconstruct_cli(*words)
    assert outcome.exit_code == 4
    assert len(outcome.stderr.strip().splitlines()[-1]) > 0
    assert "licence" in outcome.stderr
    assert reconstruct_cli(*words, "--until", "predict", "--model", "vggt-1b-commercial",
                           "--predict.no-track-head").exit_code == 0  # fmt: skip
