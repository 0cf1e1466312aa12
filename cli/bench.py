"""``vggt-sfm bench``."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from vggt_sfm.cli.console import open_console
from vggt_sfm.cli.options import Decorator, build_config, common_options, config_options
from vggt_sfm.errors import GateError
from vggt_sfm.models.choice import PredictConfig
from vggt_sfm.pipelines.config import ReconstructConfig

if TYPE_CHECKING:
    from vggt_sfm.benchmarks.bench.benchmark import BenchResult

_MODES = {
    "ff": "the prediction",
    "ba": "the prediction, adjusted",
    "incremental": "pycolmap's incremental mapping",
    "global": "pycolmap's global mapping",
    "matching": "two-view poses from our matches and the true intrinsics (scannet1500)",
}
_ALIASES = {
    "predict.weights": "--weights",
    "predict.model": "--model",
    "predict.device": "--device",
    "predict.precision": "--precision",
    "predict.offline": "--offline/--no-offline",
    "predict.commercial_only": "--commercial-only/--no-commercial-only",
}
_SETTINGS = (
    "modes",
    "threads",
    "seed",
    "fast",
    "limit",
    "manifest",
    "timeout_min",
    "skip_missing",
    "retry",
    "roma_compat",
    "against",
)


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


def _options(modes: str) -> Decorator:
    words = "; ".join(f"{name}: {what}" for name, what in _MODES.items())
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
        click.option(
            "--modes",
            default=modes,
            show_default=True,
            help=f"What is measured, with commas. {words}.",
        ),
        click.option(
            "--limit", type=click.IntRange(min=1), help="Measure so many bags, of all kinds."
        ),
        click.option(
            "--fast",
            is_flag=True,
            help="Ten bags of each group, and ten photographs where their number is open.",
        ),
        click.option(
            "--seed",
            type=int,
            default=0,
            show_default=True,
            help="Of which photographs are drawn, where the rules leave it to chance.",
        ),
        click.option(
            "--manifest",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="A list of photographs from another run (its manifest.json).",
        ),
        click.option(
            "--skip-missing", is_flag=True, help="Leave out bags whose photographs are not there."
        ),
        click.option(
            "--timeout",
            "timeout_min",
            type=click.FloatRange(min=0, min_open=True),
            help="Minutes after which one mode of one bag has failed.  [default: none]",
        ),
        click.option("--retry", is_flag=True, help="Measure again what has failed."),
        click.option(
            "--threads",
            type=click.IntRange(min=0),
            default=1,
            show_default=True,
            help="Of everything that is measured, 0 for all cores; results repeat exactly with 1.",
        ),
        click.option(
            "--against",
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            help="Compare with the results in this folder, on the bags that both have.",
        ),
        click.option(
            "--gate",
            type=click.FloatRange(min=0),
            help="With --against: exit with 7 where ours fell by more than so many points.",
        ),
        config_options(_Model, _ALIASES),
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="TOML or JSON file with any options of reconstruct.",
        ),
        common_options,
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class _DataSet(NamedTuple):
    """A data set: where its adapter is, and what is said of it."""

    module: str
    adapter: str
    line: str
    modes: str = "ff,ba,incremental,global"


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
    ),
    "7scenes": _DataSet("seven_scenes", "SevenScenes", "Measure the test sequences of 7-Scenes."),
}
_EXTRA: dict[str, tuple[Decorator, ...]] = {
    "7scenes": (
        click.option(
            "--stride",
            type=click.IntRange(min=1),
            default=40,
            show_default=True,
            help="Take every nth frame; 200 is usual too.",
        ),
    ),
    "scannet1500": (
        click.option(
            "--roma-compat",
            is_flag=True,
            help="As matcher: let the last of five trials count twice, as RoMa's public code does.",
        ),
    ),
}


def _add(name: str, data_set: _DataSet) -> None:
    def run(data: Path, output: Path, as_json: bool, level: int, **given: Any) -> None:
        _run(data_set, data, output, as_json, level, given)

    run.__doc__ = (
        f"{data_set.line}\n\nGoes on where an earlier run into the same folder was stopped. Writes "
        "manifest.json (which photographs), results.jsonl (a line for each bag and mode), "
        "scores.json, report.md and report.html."
    )
    decorated = _options(data_set.modes)(run)
    for option in _EXTRA.get(name, ()):
        decorated = option(decorated)
    command.command(name)(decorated)


for _name, _data_set in _DATA_SETS.items():
    _add(_name, _data_set)


def _run(
    data_set: _DataSet, data: Path, output: Path, as_json: bool, level: int, given: dict[str, Any]
) -> None:
    gate: float | None = given.pop("gate")
    if gate is not None and given["against"] is None:
        raise click.UsageError("--gate needs --against, the folder of a kept run")
    settings = {name: given.pop(name) for name in _SETTINGS if name in given}
    settings["modes"] = tuple(mode.strip() for mode in settings["modes"].split(","))
    adapter_options = {name: given.pop(name) for name in ("stride",) if name in given}
    config = build_config(ReconstructConfig, given.pop("config_file"), given)
    # Imported here, so that --help and wrong options are answered at once.
    from vggt_sfm.benchmarks.bench.against import losses
    from vggt_sfm.benchmarks.bench.benchmark import BenchOptions, benchmark

    progress = open_console(level)
    try:
        options = BenchOptions(config=config, **settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    module = importlib.import_module(f"vggt_sfm.benchmarks.datasets.{data_set.module}")
    dataset = getattr(module, data_set.adapter)(data, **adapter_options)
    result = benchmark(dataset, data, output, options, progress)
    if as_json:
        click.echo(json.dumps(_summary(result, output)))
    else:
        click.echo(result.markdown)
    lost = losses(result.changes, gate) if gate is not None else []
    if lost:
        raise GateError("; ".join(lost))


def _summary(result: BenchResult, output: Path) -> dict[str, object]:
    failed = sum(row.status == "failed" for row in result.found.rows)
    return {
        "ok": True,
        "schema": 1,
        "output": str(output),
        "results": len(result.found.rows),
        "failed": failed,
        "manifest_sha256": result.found.header.setup.manifest_sha256,
        "scores": json.loads((output / "scores.json").read_text()),
    }
