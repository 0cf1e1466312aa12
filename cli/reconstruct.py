"""``vggt-sfm reconstruct``."""

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
from vggt_sfm.cli.options import MODEL_ALIASES, build_config, common_options, config_options
from vggt_sfm.pipelines.config import ReconstructConfig

if TYPE_CHECKING:
    from vggt_sfm.pipelines.result import ReconstructResult

_ALIASES = {
    "exports.image_factors": "--image-factors",
    "ingest.masks": "--masks",
    "ingest.cameras": "--cameras",
    "ingest.rig": "--rig",
    "ingest.every": "--every",
    "ingest.max_frames": "--max-frames",
    **MODEL_ALIASES,
    "place.gps": "--gps",
    "place.positions": "--positions",
    "place.distances": "--distance",
    "prior.intrinsics": "--intrinsics",
    "prior.poses": "--pose-prior",
    "predict.point_source": "--point-source",
    "seed.camera_model": "--camera-model",
    "track.database": "--database",
    "track.seed": "--seed",
}
_logger = get_logger(__name__)


@click.command("reconstruct")
@click.argument("images", nargs=-1, metavar="IMAGES...")
@click.option(
    "--images",
    "more_images",
    multiple=True,
    metavar="DIR",
    help="The same as IMAGES; may be given several times.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for the results.  [default: vggt-sfm-out beside the folder or video]",
)
@config_options(ReconstructConfig, _ALIASES)
@click.option(
    "--threads",
    type=click.IntRange(min=0),
    help="Threads for tracks and adjustment, 0 for all cores. With several, adjusted values differ "
    "in the last digits from run to run.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="TOML or JSON file with options; the run.json of an earlier run repeats it.",
)
@common_options
def command(
    images: tuple[str, ...],
    more_images: tuple[str, ...],
    output: Path | None,
    threads: int | None,
    config_file: Path | None,
    as_json: bool,
    level: int,
    **given: object,
) -> None:
    """Turn photographs or a video into a COLMAP model.

    IMAGES is a folder (with its sub-folders), a glob, a text file with one path per line, a video,
    or several folders, images and videos. Photographs in different sub-folders get different
    cameras. From a video sharp frames are taken, a step of the camera apart.
    """
    start = time.monotonic()
    images = (*images, *more_images)
    if not images:
        raise click.MissingParameter(param_hint="IMAGES...", param_type="argument")
    for name in ("track__threads", "adjust__threads"):
        given[name] = threads if given[name] is None else given[name]
    config = build_config(ReconstructConfig, config_file, given)
    # Imported here, so that --help and wrong options are answered at once.
    from vggt_sfm.pipelines.gather import default_output
    from vggt_sfm.pipelines.reconstruct import reconstruct

    progress = open_console(level)
    settle_native_libraries(level)
    output = (output or default_output(images)).absolute()
    _logger.info("results go to %s", output)
    if threads is not None and threads != 1:
        _logger.info("--threads %d: results may differ in the last digits between runs", threads)
    result = reconstruct(images, output, config, progress=progress)
    report = result.report
    _logger.info("%s", report.line)
    if result.verdict is not None:
        _logger.info("%s", result.verdict.words)
        _logger.info("%s says why, with figures and pictures", result.page)
    if report.sparse is not None:
        _logger.info("%s holds the model; COLMAP opens it with File, Import model", result.sparse)
        _logger.info(
            "next: vggt-sfm view %(out)s   or   vggt-sfm export %(out)s --to nerfstudio",
            {"out": shlex.quote(str(output))},
        )
    if as_json:
        click.echo(json.dumps(_summary(result, time.monotonic() - start)))


def _summary(result: ReconstructResult, seconds: float) -> dict[str, object]:
    """Return what programs want to know; the rest is in ``run.json``."""
    report = result.report
    return {
        "ok": True,
        "schema": report.schema,
        "status": report.status,
        "reason": report.reason,
        "output": str(result.output),
        "sparse": str(result.sparse) if result.sparse else None,
        "points": str(result.points) if result.points else None,
        "run": str(result.run_file),
        "report": str(result.page) if result.page else None,
        "verdict": result.verdict.level if result.verdict else None,
        "verdict_words": result.verdict.words if result.verdict else None,
        "images": len(report.images),
        "images_refined": sum(image.status == "refined" for image in report.images),
        "skipped": [entry.name for entry in report.skipped],
        "num_points": report.num_points,
        "mean_reprojection_error_px": report.mean_reprojection_error_px,
        "seconds": round(seconds, 2),
    }
