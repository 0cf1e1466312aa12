"""``vggt-sfm adjust``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vggt_sfm._log import get_logger
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.cli.console import open_console
from vggt_sfm.cli.native import settle_native_libraries
from vggt_sfm.cli.options import build_config, common_options, config_options, model_options

if TYPE_CHECKING:
    from vggt_sfm.pipelines.adjusting import AdjustReport, AdjustResult

_MOST_NAMED = 5
_logger = get_logger(__name__)


@click.command("adjust")
@model_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for the adjusted model.  [default: vggt-sfm-adjusted in the model's folder]",
)
@config_options(BundleConfig, {})
@click.option("--strict", is_flag=True, help="Fail where the model could not be made better.")
@common_options
def command(
    folder: Path,
    images: Path | None,
    output: Path | None,
    strict: bool,
    as_json: bool,
    level: int,
    **given: object,
) -> None:
    """Refine a model by bundle adjustment.

    FOLDER is the output of reconstruct, holds a COLMAP model of whatever origin, or is a
    transforms.json. It is left as it is; the adjusted model has its world and scale. Where that
    makes it no better, it is written as it was. For a model without points, some are found
    in its photographs first.
    """
    start = time.monotonic()
    config = build_config(BundleConfig, None, given)
    from vggt_sfm.pipelines.adjusting import adjust_model

    progress = open_console(level)
    settle_native_libraries(level)
    result = adjust_model(folder, output, config, images=images, strict=strict, progress=progress)
    report = result.report
    for remark in report.remarks:
        _logger.warning("%s", remark)
    _logger.info("%s", report.line)
    for line in _worst(report):
        _logger.info("  %s", line)
    if report.verdict is not None:
        _logger.info("%s", report.verdict.words)
    _logger.info("%s holds the model", result.sparse)
    if as_json:
        click.echo(json.dumps(_summary(result, time.monotonic() - start)))


def _worst(report: AdjustReport) -> list[str]:
    """Describe the images that need most to be looked at."""
    from vggt_sfm.report.page import worst_first

    lines = []
    for row in worst_first(report.images)[:_MOST_NAMED]:
        image = report.images[row]
        error = "" if image.median_error_px is None else f", median {image.median_error_px:.2f} px"
        reason = f" ({image.reason})" if image.reason else ""
        lines.append(f"{image.name}: {image.status}, {image.observations} points{error}{reason}")
    return lines


def _summary(result: AdjustResult, seconds: float) -> dict[str, object]:
    """Return what programs want to know; the rest is in ``adjust.json``."""
    report, bundle = result.report, result.report.bundle
    return {
        "ok": True,
        "schema": report.schema,
        "status": bundle.status,
        "reason": bundle.reason or None,
        "output": str(result.output),
        "sparse": str(result.sparse),
        "report": str(result.report_file),
        "verdict": report.verdict.level if report.verdict else None,
        "verdict_words": report.verdict.words if report.verdict else None,
        "images": len(bundle.images),
        "images_refined": bundle.num_refined,
        "mean_reprojection_error_before_px": report.before.mean_error_px if report.before else None,
        "mean_reprojection_error_px": report.after.mean_error_px if report.after else None,
        "focal_before_px": bundle.focal_before_px,
        "focal_after_px": bundle.focal_after_px,
        "seconds": round(seconds, 2),
    }
