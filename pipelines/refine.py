"""From a start to the model that is written: the adjustment, and a rescue where it fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vggt_sfm.ba.knowledge import Knowledge
from vggt_sfm.ba.report import BundleReport
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.ladder import Attempt, Ladder, RescueReport, Start
from vggt_sfm.pipelines.rescue import climb
from vggt_sfm.pipelines.run import Run
from vggt_sfm.pipelines.stage import Artifact
from vggt_sfm.pipelines.stages import ADJUST
from vggt_sfm.scene import Predictions, Scene, Tracks

if TYPE_CHECKING:
    import pycolmap

    from vggt_sfm.inference import Predictor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Refined:
    """The model to write."""

    model: pycolmap.Reconstruction
    tracks: Artifact[Tracks]
    """What its observations are of."""
    bundle: BundleReport | None = None
    """Of the adjustment that made it."""
    rescue: RescueReport | None = None
    """Of other ways that were tried; None where there was no need, or no leave."""
    reason: str | None = None
    """Why it is as predicted, if it is."""


def refine(
    run: Run,
    config: ReconstructConfig,
    *,
    predicted: pycolmap.Reconstruction,
    predictor: Artifact[Predictor],
    scene: Artifact[Scene],
    predictions: Artifact[Predictions],
    tracks: Artifact[Tracks],
    seed: Artifact[pycolmap.Reconstruction],
    knowledge: Artifact[Knowledge],
) -> Refined:
    """Adjust a start, and try others where that ended in a wrong place.

    Args:
        run: Calls the stages.
        config: Options of all of them.
        predicted: The model to write where nothing can be adjusted.
        predictor: What predicted.
        scene: The photographs.
        predictions: Where the start comes from.
        tracks: Likewise.
        seed: The start.
        knowledge: What is known of cameras beforehand.
    """
    if predicted.num_images() == 1:
        reason = "a single image cannot be adjusted"
        return Refined(model=predicted, tracks=tracks, reason=reason)
    if not config.ba:
        return Refined(model=predicted, tracks=tracks, reason="bundle adjustment is off")
    adjusted = run(ADJUST, config.adjust, seed=seed, knowledge=knowledge).value
    plain = Attempt(start=Start(seed=seed.value, tracks=tracks), adjusted=adjusted)
    rescue, best = None, plain
    if config.rescue:
        ladder = Ladder(
            run=run,
            config=config,
            scene=scene,
            predictor=predictor,
            predictions=predictions,
            knowledge=knowledge,
            plain=plain,
            best=plain,
        )
        rescue, best = climb(ladder), ladder.best
    if best.adjusted.report.num_refined == 0 and adjusted.report.status != "refined":
        best = plain  # a prediction, called so, is better than what may be as wrong
    report = _beside_the_prediction(best.adjusted.report, plain.adjusted.report)
    if report.status != "refined":
        reason = f"adjustment {report.status}: {report.reason}"
        return Refined(model=predicted, tracks=tracks, bundle=report, rescue=rescue, reason=reason)
    return Refined(
        model=best.adjusted.model, tracks=best.start.tracks, bundle=report, rescue=rescue
    )


def _beside_the_prediction(report: BundleReport, plain: BundleReport) -> BundleReport:
    """Say what was before by the prediction, wherever the best start came from."""
    return replace(
        report,
        inlier_ratio_before=plain.inlier_ratio_before,
        held_out_before_px=plain.held_out_before_px,
        focal_before_px=plain.focal_before_px,
    )
