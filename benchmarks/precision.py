"""What each way to run the same network costs in precision, against float64.

The inputs are the goldens' textures in many small scenes. Errors are pooled over all of them: the
largest of a few is a coin flip, the root of their mean square is not.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vggt_sfm.benchmarks.goldens import Goldens
from vggt_sfm.benchmarks.ways_to_run import OUTPUTS, PLAIN, WHOLE, Way, ways_to_run
from vggt_sfm.models import VGGT, VGGTOutput

_NUM_QUERIES = 24
_UNIT_ROUNDOFF = 2.0**-24  # of float32: what the output itself cannot express


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputError:
    """The error of one output of one way to run the network."""

    way: str
    output: str
    rms: float
    worst: float
    factor: float
    """RMS error over that of plain float32."""
    limit: float | None
    """What the factor may be, but for the rounding of the output itself; None: the same bits."""
    within: bool


def small_scenes(
    goldens: Goldens,
    *,
    frames: tuple[int, ...] = (1, 2, 3, 9),
    sizes: tuple[tuple[int, int], ...] = ((28, 42), (42, 28)),
    seeds: int = 5,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (1, S, 3, H, W) images and (1, N, 2) queries of many small scenes.

    Args:
        goldens: Whose recipes to follow.
        frames: Each S.
        sizes: Each H, W, px.
        seeds: How many textures, each in every size with every number of frames.
    """
    for seed in range(seeds):
        for height, width in sizes:
            for count in frames:
                images = goldens.common.make_images(count, height, width, seed)[None]
                queries = goldens.common.make_queries(_NUM_QUERIES, height, width, seed)[None]
                yield torch.from_numpy(images), torch.from_numpy(queries)


class _Tally:
    """Sums over runs, for each output."""

    def __init__(self) -> None:
        self.squares = dict.fromkeys(OUTPUTS, 0.0)
        self.worst = dict.fromkeys(OUTPUTS, 0.0)
        self.same = dict.fromkeys(OUTPUTS, True)

    def add(
        self,
        found: Mapping[str, Tensor],
        twin: Mapping[str, Tensor],
        truth: Mapping[str, Tensor],
    ) -> None:
        for name, exact in truth.items():
            off = found[name].double() - exact
            self.squares[name] += off.square().mean().item()
            # NaN is the worst there is
            self.worst[name] = max(off.abs().max().nan_to_num(math.inf).item(), self.worst[name])
            self.same[name] &= torch.equal(found[name], twin[name])


def output_errors(
    model: VGGT, scenes: Iterable[tuple[Tensor, Tensor]], folder: Path
) -> list[OutputError]:
    """Measure every way to run a model that has all heads.

    Args:
        model: In float32, on any device that knows float64. What it keeps in tables of float32
            (the rotation by patch positions) stays so in the oracle: that is its definition.
        scenes: (B, S, 3, H, W) images and (B, N, 2) queries.
        folder: Where a checkpoint of the model can be written.

    Returns:
        For every way and output the error, pooled over the scenes.
    """
    device = model.aggregator.camera_token.device
    oracle = copy.deepcopy(model).double()
    ways = ways_to_run(model, folder)
    tallies = {way.name: _Tally() for way in ways}
    sizes, count = dict.fromkeys(OUTPUTS, 0.0), 0
    with torch.inference_mode():
        for images, queries in scenes:
            x, xy = images.to(device), queries.to(device)
            truth = _named(oracle(x.double(), xy.double(), frames_per_chunk=WHOLE))
            found = {way.name: _named(way.run(x, xy)) for way in ways}
            for way in ways:
                tallies[way.name].add(found[way.name], found[way.twin], truth)
            for name, exact in truth.items():
                sizes[name] += exact.square().mean().item()
            count += 1
    rounding = {name: math.sqrt(size / count) * _UNIT_ROUNDOFF for name, size in sizes.items()}
    plain = {name: math.sqrt(s / count) for name, s in tallies[PLAIN].squares.items()}
    return [
        _judged(way, name, tallies[way.name], count, plain[name], rounding[name])
        for way in ways
        for name in OUTPUTS
    ]


def _judged(
    way: Way, output: str, tally: _Tally, count: int, plain: float, rounding: float
) -> OutputError:
    rms = math.sqrt(tally.squares[output] / count)
    limit = None if way.limits is None else way.limits[output]
    return OutputError(
        way=way.name,
        output=output,
        rms=rms,
        worst=tally.worst[output],
        factor=rms / plain if plain else math.nan,
        limit=limit,
        within=tally.same[output] if limit is None else rms <= limit * plain + rounding,
    )


def _named(output: VGGTOutput) -> dict[str, Tensor]:
    return {name: getattr(output, name) for name in OUTPUTS}
