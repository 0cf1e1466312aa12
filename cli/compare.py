"""``vggt-sfm compare``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vggt_sfm._log import get_logger
from vggt_sfm.cli.console import open_console
from vggt_sfm.cli.native import settle_native_libraries
from vggt_sfm.cli.options import build_config, common_options, config_options
from vggt_sfm.errors import GateError, InputError
from vggt_sfm.pipelines.gates import Gates

_logger = get_logger(__name__)
_KEY = "comparisons"


@click.command("compare")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--gt",
    "truth",
    type=click.Path(path_type=Path),
    help="The true model; A and B are then compared with it, side by side.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="JSON file for all figures; it may replace an earlier one of this command.",
)
@config_options(Gates, {})
@common_options
def command(
    a: Path,
    b: Path,
    truth: Path | None,
    output: Path | None,
    as_json: bool,
    level: int,
    **given: object,
) -> None:
    """Tell how far the cameras of two models are apart.

    A and B are each the output of reconstruct, a folder with a COLMAP model, or a transforms.json.
    B is the reference, unless --gt gives the truth: distances are in units of the reference.
    """
    gates = build_config(Gates, None, given)
    if output is not None:
        _check_replaceable(output)
    from vggt_sfm.io.plain import to_plain
    from vggt_sfm.pipelines.comparing import compare
    from vggt_sfm.pipelines.gates import missed

    open_console(level)
    settle_native_libraries(level)
    comparisons = compare(a, b, truth)
    lost = missed(gates, comparisons[0])
    figures = {"schema": 1, _KEY: to_plain(comparisons), "missed": lost}
    if output is not None:
        _write(output.absolute(), figures)
    if not as_json:
        from vggt_sfm.cli.comparison_table import page

        click.echo(page(comparisons))
    if lost:
        raise GateError("; ".join(lost))
    if as_json:
        click.echo(json.dumps({"ok": True, **figures}, allow_nan=False))


def _check_replaceable(path: Path) -> None:
    """Make sure that only what this command wrote is replaced; -o may be a slip of the fingers."""
    if not path.exists():
        return
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = None
    if not isinstance(told, dict) or _KEY not in told:
        raise InputError(f"-o {path} is there already, and is no comparison; choose another name")


def _write(path: Path, figures: dict[str, object]) -> None:
    from vggt_sfm._files import replacing
    from vggt_sfm.pipelines.stage import writing

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            text = json.dumps(figures, indent=1, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
    _logger.info("wrote %s", path)
