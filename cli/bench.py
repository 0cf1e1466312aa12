"""``vggt-sfm bench``."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from vggt_sfm.benchmarks.bench.config import BenchConfig
from vggt_sfm.cli.console import open_console
from vggt_sfm.cli.options import (
    MODEL_ALIASES,
    Decorator,
    build_config,
    common_options,
    config_options,
)
from vggt_sfm.errors import GateError
from vggt_sfm.models.choice import PredictConfig
from vggt_sfm.pipelines.config import ReconstructConfig

if TYPE_CHECKING:
    from vggt_sfm.benchmarks.bench.benchmark import BenchResult


class _DataSet(NamedTuple):
    """A data set: where its adapter is, what is said of it, and what it alone asks for."""

    module: str
    adapter: str
    line: str
    modes: str | None = None
    """Where the usual ones are not all."""
    options: tuple[Decorator, ...] = ()


_DATA_SETS = {
    "poses": _DataSet("folders", "Folders", "Measure a folder of scenes with images/ and gt/."),
    "re10k": _DataSet("re10k", "Re10k", "Measure RealEstate10K's test videos."),
    "co3d": _DataSet("co3d", "Co3d", "Measure CO3Dv2's test sequences."),
    "imc": _DataSet("imc", "Imc", "Measure the phototourism bags of IMC 2021."),
    "scannet1500": _DataSet(
        "scannet1500",
        "Scannet1500",
        "Measure the pairs of ScanNet-1500, also as a matcher.",
        "ff,ba,matching,incremental,global",
        (
            click.option(
                "--roma-compat",
                is_flag=True,
                help="As matcher: the last of five trials counts twice, as in RoMa's public code.",
            ),
        ),
    ),
    "7scenes": _DataSet(
        "seven_scenes",
        "SevenScenes",
        "Measure the test sequences of 7-Scenes.",
        options=(
            click.option(
                "--stride",
                type=click.IntRange(min=1),
                default=40,
                show_default=True,
                help="Take every nth frame; 200 is usual too.",
            ),
        ),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """The options that choose a model; ``--config`` takes all others."""

    predict: PredictConfig = field(default_factory=PredictConfig)


@click.group("bench")
@common_options
@click.pass_context
def command(ctx: click.Context, as_json: bool, level: int) -> None:
    """Measure poses on public data sets: claimed, reproduced, measured."""
    ctx.default_map = {name: {"as_json": as_json, "level": level} for name in command.commands}


def _add(name: str, data_set: _DataSet) -> None:
    def run(data: Path, output: Path, as_json: bool, level: int, **given: Any) -> None:
        _run(data_set, data, output, as_json, level, given)

    run.__doc__ = (
        f"{data_set.line}\n\nGoes on where an earlier run into the same folder was stopped. Writes "
        "manifest.json (which photographs), results.jsonl (a line for each bag and mode), "
        "scores.json, report.md and report.html."
    )
    options: list[Decorator] = [
        click.option(
            "--data",
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            required=True,
            help="Folder with the data set in its official layout.",
        ),
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            required=True,
            help="Folder for list, results and report; a run that was stopped goes on from it.",
        ),
        *data_set.options,
        config_options(BenchConfig, {}),
        config_options(_Model, MODEL_ALIASES),
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="TOML or JSON file with any options of reconstruct.",
        ),
        common_options,
    ]
    decorated: Callable[..., Any] = run
    for option in reversed(options):
        decorated = option(decorated)
    command.command(name)(decorated)


for _name, _data_set in _DATA_SETS.items():
    _add(_name, _data_set)


def _run(
    data_set: _DataSet, data: Path, output: Path, as_json: bool, level: int, given: dict[str, Any]
) -> None:
    stride, roma_compat = given.pop("stride", None), given.pop("roma_compat", False)
    file = given.pop("config_file")
    model = {name: given.pop(name) for name in list(given) if name.startswith("predict__")}
    config = build_config(ReconstructConfig, file, model)
    bench = build_config(BenchConfig, None, {**given, "modes": given["modes"] or data_set.modes})
    # Imported here, so that --help and wrong options are answered at once.
    from vggt_sfm.benchmarks.bench.against import losses
    from vggt_sfm.benchmarks.bench.benchmark import benchmark

    progress = open_console(level)
    module = importlib.import_module(f"vggt_sfm.benchmarks.datasets.{data_set.module}")
    adapter = {} if stride is None else {"stride": stride}
    dataset = getattr(module, data_set.adapter)(data, **adapter)
    result = benchmark(
        dataset, data, output, bench, config, roma_compat=roma_compat, progress=progress
    )
    lost = losses(result.changes, bench.gate) if bench.gate is not None else []
    if not as_json:
        click.echo(result.markdown)
    if lost:
        raise GateError("; ".join(lost))
    if as_json:
        click.echo(json.dumps(_summary(result, output)))


def _summary(result: BenchResult, output: Path) -> dict[str, object]:
    return {
        "ok": True,
        "schema": 1,
        "output": str(output),
        "results": len(result.found.rows),
        "failed": sum(row.status == "failed" for row in result.found.rows),
        "manifest_sha256": result.found.header.setup.manifest_sha256,
        "scores": json.loads((output / "scores.json").read_text()),
    }
