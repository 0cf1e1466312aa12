"""What a run says about itself: the content of ``run.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vggt_sfm._files import replacing
from vggt_sfm.ba.report import BundleReport, ImageStatus
from vggt_sfm.io.plain import to_plain
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.ladder import RescueReport
from vggt_sfm.pipelines.run import Run, StageRecord
from vggt_sfm.pipelines.stage import versions, writing
from vggt_sfm.pipelines.stages import POINTS, SPARSE
from vggt_sfm.placing.report import PlacementReport
from vggt_sfm.scene import Predictions, Scene, SkippedFile

if TYPE_CHECKING:
    import pycolmap

    from vggt_sfm.inference import Predictor

RUN_FILE = "run.json"

Status = Literal["adjusted", "feed-forward", "one image", "stopped", "unfinished", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOutcome:
    """What became of one photograph."""

    name: str
    status: ImageStatus
    """refined: adjusted, and its observations agree. registered: held by tracks, but as the network
    placed it, or adjusted on little evidence. predicted only: no track of the model sees it.
    rejected: its tracks contradict the other images; its camera is the network's word alone."""
    reason: str | None
    """Why it was not refined."""
    observations: int
    """Of points in the model."""
    rotation_sigma_deg: float | None = None
    """Uncertainty of the adjusted rotation from noise of the tracks, relative to the first adjusted
    image, degrees."""
    translation_sigma: float | None = None
    """The same of the translation, scene units."""
    camera_source: str
    """What its camera started from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkReport:
    """Which network predicted, and where it ran."""

    name: str
    weights_sha256: str
    licence: str
    """Of the weights."""
    commit: str | None
    """Of the hub's repository that the weights came from, where that is known."""
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did and how it ended; ``config`` is a valid ``--config``."""

    schema: int = 1
    ok: bool
    status: Status
    reason: str | None = None
    """Why the status is not better."""
    line: str
    """The status in one line, for people."""
    error: str | None = None
    """Class of the error that ended the run."""
    sparse: str | None = None
    """The COLMAP model, relative to the output folder; None if the run did not get there."""
    points: str | None = None
    """The point cloud, likewise."""
    num_points: int = 0
    num_observations: int = 0
    mean_reprojection_error_px: float | None = None
    images: tuple[ImageOutcome, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    network: NetworkReport | None = None
    remarks: tuple[str, ...] = ()
    """What the network's run noticed."""
    bundle: BundleReport | None = None
    rescue: RescueReport | None = None
    """What was tried where the adjustment of the prediction ended in a wrong place."""
    placement: PlacementReport | None = None
    """What gave the model metres, or why nothing did."""
    stages: tuple[StageRecord, ...] = ()
    versions: dict[str, str]
    config: ReconstructConfig


def network_report(predictor: Predictor) -> NetworkReport:
    """Tell which network a predictor is."""
    return NetworkReport(
        name=predictor.name,
        weights_sha256=predictor.weights_sha256,
        licence=predictor.licence,
        commit=predictor.commit,
        device=predictor.device,
    )


def image_outcomes(
    model: pycolmap.Reconstruction,
    scene: Scene,
    predictions: Predictions,
    bundle: BundleReport | None,
    reason: str | None,
) -> tuple[ImageOutcome, ...]:
    """Tell for each frame what holds it in the model and where its camera came from.

    Args:
        model: The model that is exported.
        scene: The frames.
        predictions: Where each frame's camera came from.
        bundle: The report of the adjustment, if there was one.
        reason: Why nothing was adjusted, if nothing was.
    """
    observations = {image.name: image.num_points3D for image in model.images.values()}
    images = {image.name: image for image in bundle.images} if bundle else {}
    outcomes = []
    for frame, source in zip(scene.frames, predictions.camera_sources, strict=True):
        count = observations.get(frame.name, 0)
        image = images.get(frame.name)
        status: ImageStatus = "registered" if count else "predicted only"
        why = reason
        if image is not None:
            status, why = image.status, image.reason
        elif count == 0 and len(scene.frames) > 1:
            why = "no verified match with another image"
        outcomes.append(
            ImageOutcome(
                name=frame.name,
                status=status,
                reason=why,
                observations=count,
                rotation_sigma_deg=image.rotation_sigma_deg if image else None,
                translation_sigma=image.translation_sigma if image else None,
                camera_source=source,
            )
        )
    return tuple(outcomes)


def run_report(run: Run, config: ReconstructConfig, **ending: Any) -> RunReport:
    """Build the report of a run that ended in some way; Any: the fields of the report."""
    fields = {
        "ok": True,
        "stages": tuple(run.records),
        "versions": versions(),
        "config": replace(config, force=None, until=None),  # to repeat a run, not a repair
    }
    return RunReport(**{**fields, **ending})


def finished_report(
    run: Run,
    config: ReconstructConfig,
    *,
    network: NetworkReport,
    scene: Scene,
    predictions: Predictions,
    model: pycolmap.Reconstruction,
    bundle: BundleReport | None,
    rescue: RescueReport | None,
    placement: PlacementReport,
    reason: str | None,
) -> RunReport:
    """Build the report of a run that exported a model."""
    outcomes = image_outcomes(model, scene, predictions, bundle, reason)
    status: Status = "adjusted" if reason is None else "feed-forward"
    if len(outcomes) == 1:
        status = "one image"
    held = sum(outcome.observations > 0 for outcome in outcomes)
    num_points = model.num_points3D()
    error = model.compute_mean_reprojection_error() if num_points else None
    line = f"{status}: {held} of {len(outcomes)} images held by {num_points} points"
    if error is not None:
        line += f", mean reprojection error {error:.2f} px"
    if reason is not None:
        line += f" ({reason})"
    return run_report(
        run,
        config,
        status=status,
        reason=reason,
        line=line,
        sparse=SPARSE,
        points=POINTS,
        num_points=num_points,
        num_observations=model.compute_num_observations(),
        mean_reprojection_error_px=error,
        images=outcomes,
        skipped=scene.skipped,
        network=network,
        remarks=(*predictions.remarks, *_of_rigs(bundle)),
        bundle=bundle,
        rescue=rescue,
        placement=placement,
    )


def _of_rigs(bundle: BundleReport | None) -> tuple[str, ...]:
    """Return what is to be said where cameras of known rigs are not held together."""
    if bundle is None or not bundle.rig.startswith("not"):
        return ()
    return (f"cameras of rigs are {bundle.rig}",)


def strict_objection(report: RunReport) -> str | None:
    """Return what forbids the result under ``--strict``, if anything does."""
    if report.config.ba and report.status in ("feed-forward", "one image"):
        return f"{report.status}: {report.reason}"
    place, placement = report.config.place, report.placement
    wanted = place.distances or place.positions is not None or place.gps == "yes"
    if wanted and placement is not None and not placement.applied:
        return f"no metric scale: {placement.reason}"
    alone = ("predicted only", "rejected")
    unheld = [image.name for image in report.images if image.status in alone]
    left_out = [*(entry.name for entry in report.skipped), *unheld]
    if left_out:
        return f"{len(left_out)} images left out or held by no track: {', '.join(left_out)}"
    return None


def write_report(output: Path, report: RunReport) -> None:
    """Write ``run.json``; it is never seen half-written.

    Raises:
        ReconstructionError: If it cannot be written.
    """
    path = output / RUN_FILE
    with writing(path), replacing(path) as temporary:
        temporary.write_text(json.dumps(to_plain(report), indent=1) + "\n", encoding="utf-8")
