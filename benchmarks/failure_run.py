"""One case of the failure map: photographs, prediction, adjustment, errors; kept line by line."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.adjusted import adjusted_model, model_poses, point_depth_ratios
from vggt_sfm.benchmarks.embedded_feedforward import depth_quality, predicted_depth_quality
from vggt_sfm.benchmarks.embedded_parts import Photographs, predict, predictor_of
from vggt_sfm.benchmarks.failure_axes import Case, Setup
from vggt_sfm.benchmarks.failure_scenes import NothingFitsError, draw_case
from vggt_sfm.benchmarks.rendered_measures import pose_errors
from vggt_sfm.benchmarks.rendered_photographs import WIDTH, write_photographs
from vggt_sfm.errors import VggtSfmError
from vggt_sfm.io.plain import from_plain
from vggt_sfm.scene import Predictions
from vggt_sfm.training.textures import TextureBank


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Of one way of getting cameras in one scene."""

    pose_deg: tuple[float, ...]
    """Of all pairs, the larger of rotation and direction with its sign; 180 for a failure."""
    depth_percent: float | None
    """Mean relative error after making the median ratio 1: of all pixels, or of all points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one case."""

    case: Case
    feed_forward: Errors
    adjusted: Errors | None
    """None: was not asked for."""


def run_case(
    case: Case, bank: TextureBank, weights: Path, *, ba: bool, width: int = WIDTH
) -> Result:
    """Photograph a case, predict it and perhaps adjust it."""
    with tempfile.TemporaryDirectory() as folder:
        found = write_photographs(Path(folder) / "scene", draw_case(case, bank, width))
        predictions = predict(found.scene, predictor_of(weights))
        exact, _ = pose_errors(predictions.cam_from_world, found.cam_from_world)
        _, abs_rel = predicted_depth_quality(found, predictions)
        return Result(
            case=case,
            feed_forward=Errors(pose_deg=tuple(exact), depth_percent=_percent(abs_rel)),
            adjusted=adjusted_errors(found, predictions) if ba else None,
        )


def adjusted_errors(found: Photographs, predictions: Predictions) -> Errors:
    """Adjust a prediction; where that is refused, all poses count as failed."""
    poses: Float64 = np.full_like(found.cam_from_world, np.nan)
    ratios: Float64 = np.empty(0)
    try:
        model = adjusted_model(found.scene, predictions)
    except VggtSfmError as error:
        click.echo(f"not adjusted: {error}", err=True)
    else:
        poses = model_poses(model, found.scene)
        ratios = point_depth_ratios(model, found)
    exact, _ = pose_errors(poses, found.cam_from_world)
    abs_rel = depth_quality(ratios)[1] if len(ratios) else np.nan
    return Errors(pose_deg=tuple(exact), depth_percent=_percent(abs_rel))


def _percent(share: float) -> float | None:
    return round(100 * share, 2) if np.isfinite(share) else None


class Log:
    """Results of one set of weights and textures, in a file that grows by lines."""

    def __init__(self, path: Path, key: str) -> None:
        """Read what is there.

        Args:
            path: The file; it may hold results of other keys.
            key: What the results depend on besides their cases.
        """
        self._path = path
        self._key = key
        self._kept = dict(self._read())

    def _read(self) -> Iterator[tuple[Case, Result]]:
        if not self._path.exists():
            return
        for line in self._path.read_text().splitlines():
            try:
                plain = json.loads(line)
            except ValueError:  # the end of a run that was killed
                continue
            if plain.pop("key") == self._key:
                result = from_plain(Result, plain, "result")
                yield result.case, result

    def find(self, case: Case, *, ba: bool) -> Result | None:
        """Return a case's result if there is one, with an adjustment if that is asked for."""
        kept = self._kept.get(case)
        return None if kept is None or (ba and kept.adjusted is None) else kept

    def add(self, result: Result) -> None:
        """Keep a result."""
        self._kept[result.case] = result
        with self._path.open("a") as file:
            file.write(json.dumps({"key": self._key, **asdict(result)}) + "\n")


def run_all(
    cases: Sequence[Case], log: Log, bank: TextureBank, weights: Path, *, ba: bool
) -> list[Result]:
    """Run the cases that are not kept yet; return all that have scenes."""
    results = []
    for number, case in enumerate(cases, start=1):
        result = log.find(case, ba=ba)
        if result is None:
            try:
                result = run_case(case, bank, weights, ba=ba)
            except NothingFitsError as error:
                click.echo(f"{number}/{len(cases)} {told(case)}: left out, {error}", err=True)
                continue
            log.add(result)
            click.echo(f"{number}/{len(cases)} {told(case)}", err=True)
        results.append(result)
    return results


def told(case: Case) -> str:
    """Say what is special about a case."""
    usual = asdict(Setup())
    special = {k: v for k, v in asdict(case.setup).items() if v != usual[k]}
    return f"{case.kind} {case.number}: {special or 'easy'}"
