"""Every way to run the network against float64: chunks, attention kernels, bfloat16."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vggt_sfm.benchmarks import precision
from vggt_sfm.benchmarks.goldens import Goldens, seeded_model
from vggt_sfm.benchmarks.precision import OutputError, output_errors, small_scenes
from vggt_sfm.benchmarks.ways_to_run import (
    AUTOCAST,
    OUTPUTS,
    PLAIN,
    SAME_NUMBERS,
    STORED,
    Way,
    ways_to_run,
)
from vggt_sfm.models import VGGT, VGGTConfig, VGGTOutput
from vggt_sfm.models.heads.dense import FeatureHead
from vggt_sfm.models.heads.updateformer import SelfBlock

# The pseudo-weights have layer scales of 0.3, so that every block counts.
NETWORK = VGGTConfig(
    img_size=56,
    embed_dim=48,
    depth=2,
    num_heads=4,
    encoder_depth=1,
    encoder_heads=4,
    camera_depth=1,
    camera_heads=4,
    camera_iterations=2,
    dpt_features=16,
    dpt_channels=(16, 16, 32, 32),
    dpt_layers=(0, 0, 1, 1),
    track_features=16,
    track_corr_levels=3,
    track_corr_radius=2,
    track_hidden=32,
    track_iterations=2,
)


@pytest.fixture(scope="module")
def network(golden_dir: Path) -> VGGT:
    return seeded_model(golden_dir, NETWORK)


@pytest.fixture(scope="module")
def errors(
    network: VGGT, small_goldens: Goldens, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], OutputError]:
    folder = tmp_path_factory.mktemp("precision")
    found = output_errors(network, small_scenes(small_goldens), folder)
    return {(error.way, error.output): error for error in found}


def test_every_way_is_as_precise_as_it_must_be(
    errors: dict[tuple[str, str], OutputError],
) -> None:
    assert [error for error in errors.values() if not error.within] == []
    ways = {way for way, _ in errors}
    assert ways >= {PLAIN, "chunks of 8 frames", "small chunks", "math attention", AUTOCAST, STORED}
    # Otherwise nothing was rounded, and the comparison says nothing.
    assert all(error.rms > 0 for error in errors.values())


def test_ways_differ_where_they_should(errors: dict[tuple[str, str], OutputError]) -> None:
    factors = {key: error.factor for key, error in errors.items()}
    assert all(factors[PLAIN, output] == 1 for output in OUTPUTS)
    assert all(factors[AUTOCAST, output] > 100 for output in OUTPUTS)
    for way in ("chunks of 8 frames", "small chunks", "math attention"):
        assert any(factors[way, output] != 1 for output in OUTPUTS), way


@pytest.mark.parametrize("error", [1e-4, math.nan])
def test_a_less_precise_way_is_noticed(
    error: float,
    network: VGGT,
    small_goldens: Goldens,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def disturbed(images: Tensor, query_xy: Tensor) -> VGGTOutput:
        output = network(images, query_xy)
        output.depth[0, 0, 0, 0] += error
        return output

    def ways(model: VGGT, folder: Path) -> list[Way]:
        return [
            Way(name=PLAIN, limits=dict.fromkeys(OUTPUTS, 1.0), run=model),
            Way(name="worse", limits=SAME_NUMBERS, run=disturbed),
            Way(name="not the same", limits=None, run=disturbed),
        ]

    monkeypatch.setattr(precision, "ways_to_run", ways)
    scenes = list(small_scenes(small_goldens, frames=(1,), sizes=((28, 28),), seeds=1))
    found = output_errors(network, scenes, tmp_path)
    assert {(e.way, e.output) for e in found if not e.within} == {
        ("worse", "depth"),
        ("not the same", "depth"),
    }


def test_small_chunks_are_small(
    network: VGGT, tmp_path: Path, small_goldens: Goldens, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[int] = []
    frames: list[int] = []
    attend, fuse = SelfBlock.forward, FeatureHead.fuse

    def counted_attend(self: SelfBlock, x: Tensor) -> Tensor:
        tokens.append(x.shape[0] * x.shape[1])
        return attend(self, x)

    def counted_fuse(self: FeatureHead, layers: list[Tensor], *sizes: tuple[int, int]) -> Tensor:
        frames.append(len(layers[0]))
        return fuse(self, layers, *sizes)

    monkeypatch.setattr(SelfBlock, "forward", counted_attend)
    monkeypatch.setattr(FeatureHead, "fuse", counted_fuse)
    ((images, queries),) = small_scenes(small_goldens, frames=(9,), sizes=((28, 28),), seeds=1)
    largest: dict[str, tuple[int, int]] = {}
    for way in ways_to_run(network, tmp_path):
        tokens.clear()
        frames.clear()
        with torch.inference_mode():
            way.run(images, queries)
        largest[way.name] = (max(frames), max(tokens))
    whole = largest[PLAIN]
    assert whole[0] == 9
    assert largest["chunks of 8 frames"] == (8, whole[1])
    assert largest["small chunks"][0] == 1
    assert largest["small chunks"][1] <= 200 < whole[1]
    assert {largest[way] for way in ("math attention", AUTOCAST, STORED)} == {whole}
