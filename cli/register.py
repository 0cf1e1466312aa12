"""``vggt-sfm register``."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vggt_sfm._log import get_logger
from vggt_sfm.cli.console import open_console
from vggt_sfm.cli.native import settle_native_libraries
from vggt_sfm.cli.options import build_config, common_options, config_options
from vggt_sfm.pipelines.register_config import RegisterConfig

if TYPE_CHECKING:
    from vggt_sfm.pipelines.registered import RegisterResult

_ALIASES = {"localize.seed": "--seed", "localize.min_inliers": "--min-inliers"}
_logger = get_logger(__name__)


@click.command("register")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("new_images", nargs=-1, required=True, metavar="NEW_IMAGES...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for the extended model.  [default: vggt-sfm-registered in the model's folder]",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder of the model's photographs, if they are not where the run found them, or beside "
    "the model.",
)
@config_options(RegisterConfig, _ALIASES)
@common_options
def command(
    model: Path,
    new_images: tuple[str, ...],
    output: Path | None,
    images: Path | None,
    as_json: bool,
    level: int,
    **given: object,
) -> None:
    """Find new photographs in a model, and add them to it.

    MODEL is the output of reconstruct, or holds another model, whose photographs are there, too. It
    is left as it is; in the extended model its poses, intrinsics and points are the same to the
    last bit, unless --ba moves them. NEW_IMAGES is what reconstruct takes. Photographs that are
    not of the scene are named and left out.
    """
    start = time.monotonic()
    config = build_config(RegisterConfig, None, given)
    from vggt_sfm.pipelines.registering import register

    progress = open_console(level)
    settle_native_libraries(level)
    result = register(model, new_images, output, config, images=images, progress=progress)
    _logger.info("%s", result.report.line)
    _logger.info("%s holds the extended model", result.sparse)
    out = shlex.quote(str(result.output))
    _logger.info("next: vggt-sfm view %s --images FOLDER, with all photographs in FOLDER", out)
    if as_json:
        click.echo(json.dumps(_summary(result, time.monotonic() - start)))


def _summary(result: RegisterResult, seconds: float) -> dict[str, object]:
    """Return what programs want to know; the rest is in ``register.json``."""
    report = result.report
    return {
        "ok": True,
        "schema": report.schema,
        "output": str(result.output),
        "sparse": str(result.sparse),
        "report": str(result.report_file),
        "registered": list(report.registered),
        "not_registered": {i.name: i.reason for i in report.images if i.reason is not None},
        "skipped": {entry.name: entry.reason for entry in report.skipped},
        "new_points": report.new_points,
        "adjustment": report.bundle.status if report.bundle else None,
        "seconds": round(seconds, 2),
    }
