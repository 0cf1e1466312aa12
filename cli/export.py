"""``vggt-sfm export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import click

from vggt_sfm._log import get_logger
from vggt_sfm.cli.console import open_console
from vggt_sfm.cli.native import settle_native_libraries
from vggt_sfm.cli.options import build_config, common_options, config_options, model_options
from vggt_sfm.export.words import ExportConfig, ExportWord

_logger = get_logger(__name__)


@click.command("export")
@model_options
@click.option(
    "--to",
    "words",
    type=click.Choice(get_args(ExportWord)),
    multiple=True,
    required=True,
    help="What to write; may be given several times.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for the exports.  [default: the output of the run itself; vggt-sfm-export in the "
    "folder of another model]",
)
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="Folder of masks of the photographs, named as in COLMAP; a run knows its own.",
)
@config_options(ExportConfig, {})
@common_options
def command(
    folder: Path,
    words: tuple[ExportWord, ...],
    output: Path | None,
    images: Path | None,
    masks: Path | None,
    as_json: bool,
    level: int,
    **given: object,
) -> None:
    """Write a model for Nerfstudio, gsplat, COLMAP and others.

    FOLDER is the output of reconstruct, holds a COLMAP model, or is a transforms.json. Photographs
    are copied, upright; nothing but earlier exports is replaced.
    """
    config = build_config(ExportConfig, None, given)
    from vggt_sfm.pipelines.exporting import export

    progress = open_console(level)
    settle_native_libraries(level)
    made = export(folder, words, output, config, images=images, masks=masks, progress=progress)
    for each in made:
        if each.then:
            _logger.info("next: %s", each.then)
    if as_json:
        exports = {each.word: str(each.path) for each in made}
        click.echo(json.dumps({"ok": True, "schema": 1, "exports": exports}))
