"""Write ``report.html`` and ``report.json`` for a run, however it ended."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from vggt_sfm._log import Progress
from vggt_sfm.errors import CapabilityError
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.io.plain import to_plain
from vggt_sfm.pipelines.report import ImageOutcome, RunReport
from vggt_sfm.pipelines.stage import writing
from vggt_sfm.report.build import build_report
from vggt_sfm.report.facts import ImageFacts, RunFacts, Verdict
from vggt_sfm.report.page import NO_SCENE, REPORT_FILE, render, write_page
from vggt_sfm.scene import Predictions, Scene

# The scene of the page; more make it slow to open.
_SCENE_POINTS = 100_000


def write_html_report(
    output: Path,
    report: RunReport,
    opened: OpenedModel | None,
    predicted_focal_px: dict[str, float],
    progress: Progress,
) -> Verdict:
    """Write the report of a run into its output folder.

    Args:
        output: The folder.
        report: The content of ``run.json``.
        opened: The result; None where there is none.
        predicted_focal_px: By image name, px of the photographs.
        progress: Counts pictures.

    Returns:
        What the report says in one line.

    Raises:
        ReconstructionError: If it cannot be written.
    """
    page, pictures = build_report(
        f"{output.name}: reconstruction",
        _run_facts(report),
        [_image_facts(image) for image in report.images],
        opened,
        predicted_focal_px,
        progress,
    )
    html = render(page, pictures, *_scene(opened))
    with writing(output / REPORT_FILE):
        write_page(output, page, html)
    return page.verdict


def predicted_focals(scene: Scene, predictions: Predictions) -> dict[str, float]:
    """Return the mean focal length that the network said for each photograph, px of it."""
    focals = {}
    for s, (frame, pixel_map) in enumerate(zip(scene.frames, scene.pixel_maps, strict=True)):
        K = pixel_map.intrinsics_to_original(predictions.intrinsics[s])
        focals[frame.name] = float(np.mean([K[0, 0], K[1, 1]]))
    return focals


def _scene(opened: OpenedModel | None) -> tuple[str | None, str]:
    """Return the page of the 3D scene, or None and why there is none."""
    if opened is None:
        return None, ""
    if importlib.util.find_spec("viser") is None:
        return None, NO_SCENE
    from vggt_sfm.viewer.page import static_page  # an extra, and a second to import

    try:
        return static_page(opened, _SCENE_POINTS), ""
    except CapabilityError as error:
        return None, f"The 3D scene is not here: {error}."


def _run_facts(report: RunReport) -> RunFacts:
    return RunFacts(
        status=report.status,
        line=report.line,
        ok=report.ok,
        reason=report.reason,
        bundle=report.bundle,
        rescue=None if report.rescue is None else to_plain(report.rescue),
        skipped=report.skipped,
        remarks=report.remarks,
        stages=tuple(to_plain(report.stages)),
        scale=to_plain(report.placement),
        network=to_plain(report.network),
        versions=report.versions,
        config=to_plain(report.config),
    )


def _image_facts(image: ImageOutcome) -> ImageFacts:
    return ImageFacts(
        name=image.name,
        status=image.status,
        reason=image.reason,
        rotation_sigma_deg=image.rotation_sigma_deg,
        translation_sigma=image.translation_sigma,
    )
