"""What a run made of a set whose cameras are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vggt_sfm._checks import Bool, Float64
from vggt_sfm.benchmarks.scores import area, errors_of, stacked
from vggt_sfm.geometry.rigid import invert, rotation_angle_deg
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.pipelines.report import RunReport
from vggt_sfm.pipelines.result import ReconstructResult

_RIGHT_DEG = 5.0
_VOUCHED_FOR = "refined"
"""The only status that tells users to trust a camera."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How right the cameras are, and what the run says of them."""

    images: int
    auc5: float
    """Exact, percent, over the largest scene; a missing camera has failed."""
    auc30: float
    right: int
    """Images of the largest scene within 5 degrees."""
    named: int
    """Images that the run does not vouch for."""
    wrong_unnamed: int
    """Images that are not right, other scenes' included, and that the run vouches for."""
    right_named: int
    """False alarms."""
    line: str
    """How the run ended, in its own words."""
    statuses: dict[str, str]
    """By image."""
    rungs: str = ""
    """What the rescue did, in words."""
    stages: dict[str, float]
    """CPU seconds of each stage that was run; of an earlier run's results there are none."""


def judged(result: ReconstructResult, truths: Sequence[Mapping[str, Float64]]) -> Outcome:
    """Compare a finished run with the truth.

    Args:
        result: Of the run.
        truths: (3, 4) cam_from_world by name of every scene, the largest first.
    """
    truth = truths[0]
    names = sorted(truth)
    wanted = stacked(truth, names)
    found = stacked(poses_by_name(result.reconstruction()), names)
    errors = errors_of(found, wanted)
    report = result.report
    statuses = {image.name: image.status for image in report.images}
    right = {name for name, good in zip(names, right_images(found, wanted), strict=True) if good}
    vouched = {name for name, status in statuses.items() if status == _VOUCHED_FOR}
    return Outcome(
        images=sum(map(len, truths)),
        auc5=round(area(errors, "auc_exact", 5), 2),
        auc30=round(area(errors, "auc_exact", 30), 2),
        right=len(right),
        named=sum(map(len, truths)) - len(vouched),
        wrong_unnamed=len(vouched - right),
        right_named=len(right - vouched),
        line=report.line,
        statuses=dict(statuses),
        rungs=rungs(report),
        stages={each.name: each.cpu_seconds for each in report.stages if not each.cached},
    )


def failed(error: str, truths: Sequence[Mapping[str, Float64]]) -> Outcome:
    """Return the outcome of a run that ended with an error: everything is lost, and it says so."""
    images = sum(map(len, truths))
    return Outcome(
        images=images,
        auc5=0.0,
        auc30=0.0,
        right=0,
        named=images,
        wrong_unnamed=0,
        right_named=0,
        line=error,
        statuses={},
        stages={},
    )


def right_images(found: Float64, truth: Float64, most_deg: float = _RIGHT_DEG) -> Bool:
    """Say which cameras agree with the truth in the world that suits most of them.

    Args:
        found: (S, 3, 4) cam_from_world in any world and scale, NaN where there is none.
        truth: (S, 3, 4) cam_from_world.
        most_deg: Largest rotation error, degrees; a centre may be as far from its place as that
            angle is long at the mean distance of the true centres from their middle.

    Returns:
        (S,), from the pair of cameras whose rotation, place and scale make the most right.
    """
    there, true = invert(found), invert(truth)
    centers, places = there[:, :, 3], true[:, :, 3]
    reach = np.linalg.norm(places - places.mean(axis=0), axis=1).mean()
    tolerance = np.deg2rad(most_deg) * reach
    best = np.zeros(len(truth), bool)
    for i in np.flatnonzero(np.isfinite(found).all(axis=(1, 2))):
        turn = true[i, :, :3] @ found[i, :, :3]  # true from found world
        angles = rotation_angle_deg(truth[:, :, :3] @ turn @ there[:, :, :3])
        turned, apart = (centers - centers[i]) @ turn.T, places - places[i]
        lengths = np.linalg.norm(turned, axis=1)
        for j in np.flatnonzero(lengths > 0):
            scale = np.linalg.norm(apart[j]) / lengths[j]
            near = np.linalg.norm(scale * turned - apart, axis=1) < tolerance
            right = np.asarray((angles < most_deg) & near)
            best = right if right.sum() > best.sum() else best
    return best


def rungs(report: RunReport) -> str:
    """Return what a run's rescue did, in words; empty where there was none."""
    if report.rescue is None:
        return ""
    helped = [rung.name for rung in report.rescue.rungs if rung.better]
    tried = f"{len(report.rescue.rungs)} tried"
    return f"{', '.join(helped) or 'nothing'} of {tried}"
