"""``vggt-sfm demo``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vggt_sfm.cli.console import open_console
from vggt_sfm.cli.native import settle_native_libraries
from vggt_sfm.cli.options import common_options


@click.command("demo")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("vggt-sfm-demo"),
    show_default=True,
    help="Folder for the rendered photographs and the results.",
)
@common_options
def command(output: Path, as_json: bool, level: int) -> None:
    """Reconstruct a rendered scene whose cameras are known."""
    from vggt_sfm.io.plain import to_plain
    from vggt_sfm.pipelines.demo import run_demo

    progress = open_console(level)
    settle_native_libraries(level)
    result = run_demo(output, progress)
    if as_json:
        click.echo(json.dumps({"ok": True, "schema": 1, **to_plain(result)}))
    else:
        click.echo(result.table())
