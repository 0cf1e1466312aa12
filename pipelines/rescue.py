"""Other ways to a model where the adjustment of the prediction ended in a wrong place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from vggt_sfm._log import get_logger
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.pipelines.ladder import Attempt, Ladder, RescueReport, RungReport
from vggt_sfm.pipelines.rungs import (
    Rung,
    focal,
    left_out,
    more_matches,
    reference,
    without_prediction,
)
from vggt_sfm.pipelines.stage import Artifact, fingerprint
from vggt_sfm.pipelines.stages import ADJUST

if TYPE_CHECKING:
    import pycolmap

_logger = get_logger(__name__)

# In longer sides of the photograph: 71, 45 and 29 degrees across it.
_USUAL_FOCALS = (0.7, 1.2, 2.0)


def climb(ladder: Ladder) -> RescueReport | None:
    """Try other ways, the cheapest first, until nothing is wrong; None where nothing was.

    What is best by evidence, the plain result included, ends up as ``ladder.best``.
    """
    first = ladder.best.trouble
    if not first.words:
        return None
    _logger.info("rescue: %s; trying other ways", first.words)
    for name, rung in _rungs(ladder):
        ladder.reports.append(_tried(ladder, name, rung))
        if not ladder.best.trouble.words:
            break
    remaining = ladder.best.trouble.words
    if remaining:
        _logger.warning("rescue: %d other ways, and still: %s", len(ladder.reports), remaining)
    return RescueReport(
        trouble=first.words,
        images=first.images,
        rungs=tuple(ladder.reports),
        remaining=remaining,
    )


def _rungs(ladder: Ladder) -> Iterator[tuple[str, Rung]]:
    """Yield ways that may help with what is wrong at that time, the cheapest first."""
    if ladder.misplaced:
        yield "left-out images", left_out
    for longer_sides in _USUAL_FOCALS:
        if ladder.misplaced and not ladder.knowledge.value.cameras:
            yield f"focal length of {longer_sides:g} image lengths", focal(longer_sides)
    if ladder.misplaced:
        yield "without the prediction", without_prediction
    yield "more matches", more_matches
    if ladder.misplaced:
        yield "more matches, without the prediction", without_prediction
    for name, order in _orders(len(ladder.scene.value.frames)):
        if ladder.misplaced:
            yield name, reference(name, order)
    if ladder.misplaced and any(report.better for report in ladder.reports):
        yield "left-out images again", left_out


def _orders(count: int) -> list[tuple[str, list[int]]]:
    """Return orders of the images in which others come first."""
    every, middle = list(range(count)), count // 2
    orders = [("last image first", every[::-1])]
    if count > 2:
        orders.append(("middle image first", [*every[middle:], *every[:middle]]))
    return orders


def _tried(ladder: Ladder, name: str, rung: Rung) -> RungReport:
    start, cpu = time.perf_counter(), time.process_time()
    found = rung(ladder)
    report = RungReport(name=name)
    if isinstance(found, str):
        report = replace(report, reason=found)
    else:
        key = fingerprint((name, found.tracks.key, _cameras(found.seed)))
        adjusted = ladder.run(
            ADJUST,
            ladder.config.adjust,
            aside=name,
            seed=Artifact(key, found.seed),
            knowledge=ladder.knowledge,
        )
        attempt, bundle = Attempt(start=found, adjusted=adjusted.value), adjusted.value.report
        report = replace(
            report,
            refined=bundle.num_refined,
            observations=adjusted.value.model.compute_num_observations(),
            misfit=bundle.misfit,
            better=attempt.is_better_than(ladder.best),
        )
        ladder.best = attempt if report.better else ladder.best
    _logger.info("rescue: %s: %s", name, report.reason or ("no better", "better")[report.better])
    return replace(
        report,
        seconds=round(time.perf_counter() - start, 3),
        cpu_seconds=round(time.process_time() - cpu, 3),
    )


def _cameras(seed: pycolmap.Reconstruction) -> list[list[float]]:
    """Return what tells one start from another with the same tracks."""
    poses = [pose.ravel().tolist() for _, pose in sorted(poses_by_name(seed).items())]
    cameras = [list(map(float, camera.params)) for _, camera in sorted(seed.cameras.items())]
    return [*poses, *cameras]
