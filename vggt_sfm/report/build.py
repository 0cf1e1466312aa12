"""Measure a model and put the report together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vggt_sfm._checks import Int64
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.errors import InputError
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.report import measures
from vggt_sfm.report.facts import ImageFacts, Report, RunFacts
from vggt_sfm.report.page import worst_first
from vggt_sfm.report.pictures import MOST_PICTURES, Picture, picture
from vggt_sfm.report.verdict import LINK_POINTS, judge

# Of more photographs the matrix is no picture any more, and its figures are megabytes.
_LARGEST_MATRIX = 400
_logger = get_logger(__name__)


def build_report(
    title: str,
    run: RunFacts,
    images: Sequence[ImageFacts],
    opened: OpenedModel | None,
    predicted_focal_px: Mapping[str, float],
    progress: Progress,
) -> tuple[Report, dict[int, Picture]]:
    """Measure a result and judge it.

    Args:
        title: Heading of the page.
        run: What the run says.
        images: What the run says about each photograph, in natural order.
        opened: The result; None where there is no model.
        predicted_focal_px: By name, px of the photographs.
        progress: Counts pictures.

    Returns:
        The report, and pictures of the photographs that need them most, by row.
    """
    if opened is None:
        verdict = judge(run, images, np.zeros((0, 0), np.int64), None, 0.0)
        return Report(title=title, verdict=verdict, run=run, images=tuple(images)), {}
    names = tuple(image.name for image in images)
    seen = measures.observations(opened.model, names)
    shared = measures.shared_points(seen)
    measured = tuple(
        _measured(image, s, opened, seen, shared, predicted_focal_px)
        for s, image in enumerate(images)
    )
    after = measures.model_facts(seen)
    sizes = [max(camera.width, camera.height) for camera in opened.model.cameras.values()]
    before = opened.before
    report = Report(
        title=title,
        verdict=judge(run, measured, shared, after, float(np.median(sizes))),
        run=run,
        images=measured,
        before=measures.model_facts(measures.observations(before, names)) if before else None,
        after=after,
        track_lengths=measures.length_histogram(seen),
        errors_px=measures.error_histogram(seen),
        shared_points=_rows(shared),
        unit=opened.unit,
    )
    return report, _pictures(report, opened, seen, progress)


def _measured(
    image: ImageFacts,
    s: int,
    opened: OpenedModel,
    seen: measures.Observations,
    shared: Int64,
    predicted_focal_px: Mapping[str, float],
) -> ImageFacts:
    errors = seen.errors_px[seen.image_of == s]
    errors = errors[np.isfinite(errors)]
    found = opened.model.find_image_with_name(image.name)
    camera = opened.model.cameras[found.camera_id] if found is not None else None
    return replace(
        image,
        observations=int((seen.image_of == s).sum()),
        median_error_px=float(np.median(errors)) if len(errors) else None,
        large_error_px=float(np.percentile(errors, 90)) if len(errors) else None,
        coverage=measures.coverage(seen, s, camera.width, camera.height) if camera else 0.0,
        focal_px=float(camera.mean_focal_length()) if camera else None,
        predicted_focal_px=predicted_focal_px.get(image.name),
        links=int((np.delete(shared[s], s) >= LINK_POINTS).sum()),
    )


def _rows(shared: Int64) -> tuple[tuple[int, ...], ...]:
    if len(shared) > _LARGEST_MATRIX:
        return ()
    return tuple(tuple(row) for row in shared.tolist())


def _pictures(
    report: Report, opened: OpenedModel, seen: measures.Observations, progress: Progress
) -> dict[int, Picture]:
    rows = worst_first(report.images)[:MOST_PICTURES]
    pictures = {}
    with progress.task("report", len(rows)) as task:
        for s in rows:
            try:
                pictures[s] = picture(opened, seen, s, len(rows))
            except InputError as error:
                _logger.warning("report: %s", error)
            task.advance()
    return pictures
