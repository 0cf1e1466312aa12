"""From photographs to a COLMAP model."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vggt_sfm._log import Progress, SilentProgress, get_logger
from vggt_sfm.ba.seed import drop_points_behind_cameras
from vggt_sfm.errors import InputError, ReconstructionError, VggtSfmError
from vggt_sfm.export.words import check_capable
from vggt_sfm.inference import Predictor, open_predictor
from vggt_sfm.io.colmap_database import check_replaceable
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.models.store import with_environment
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.exporting import export_opened
from vggt_sfm.pipelines.from_npz import take_predictions
from vggt_sfm.pipelines.gather import Sources, default_output, find_sources, gather
from vggt_sfm.pipelines.keys import (
    database_key,
    how_to_predict,
)
from vggt_sfm.pipelines.opened import WORK, opened_result
from vggt_sfm.pipelines.placed import in_metres
from vggt_sfm.pipelines.prepare import given_by_user, in_known_world, ingested
from vggt_sfm.pipelines.refine import refine
from vggt_sfm.pipelines.report import (
    NetworkReport,
    RunReport,
    finished_report,
    network_report,
    run_report,
    strict_objection,
    write_report,
)
from vggt_sfm.pipelines.reporting import predicted_focals, write_html_report
from vggt_sfm.pipelines.result import ReconstructResult
from vggt_sfm.pipelines.run import LastStageDone, Run
from vggt_sfm.pipelines.stage import Artifact, Workspace, fingerprint
from vggt_sfm.pipelines.stages import (
    DATABASE,
    EXPORT,
    PREDICT,
    SEED,
    STAGES,
    TRACK,
    write_model,
)
from vggt_sfm.report.facts import Verdict
from vggt_sfm.report.page import remove_page
from vggt_sfm.scene import SkippedFile

if TYPE_CHECKING:
    pass

_logger = get_logger(__name__)


def reconstruct(
    images: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    config: ReconstructConfig | None = None,
    *,
    progress: Progress | None = None,
    predictor: Predictor | None = None,
) -> ReconstructResult:
    """Reconstruct cameras and points from photographs or videos.

    Args:
        images: A folder, a glob, a text file with one path per line, a video, or several of them.
        output: Folder for the results; by default ``default_output(images)``.
        config: Options; the defaults need nothing but the images.
        progress: Where to report long work.
        predictor: What ``open_predictor(config.predict, keep=True)`` returned, for many calls.

    Returns:
        Where the model is, and how it was made.

    Raises:
        InputError: If there are no usable images or the output cannot be written.
        WeightsError: If the model's weights are missing or do not fit.
        CapabilityError: If the machine lacks what the config asks for, or videos need.
        ReconstructionError: If nothing could be written, or ``config.strict`` forbids the result.
    """
    config = config or ReconstructConfig()
    if config.from_npz is None:
        config = replace(config, predict=with_environment(config.predict))
    output = (Path(output) if output is not None else default_output(images)).absolute()
    masks = config.ingest.masks
    sources = find_sources(images, exclude=[output, masks] if masks else [output])
    check_capable(config.export)
    if config.save_database:
        check_replaceable(output / DATABASE, config.track.database)
    _make_writable(output)
    run = Run(
        workspace=Workspace(output / WORK),
        progress=progress or SilentProgress(),
        force=STAGES[config.force] if config.force else None,
        until=STAGES[config.until] if config.until else None,
    )
    # Until it ends: whoever finds this knows that the run was killed, whatever else lies there.
    write_report(
        output, run_report(run, config, ok=False, status="unfinished", line="running, or killed")
    )
    remove_page(output)  # it is of an earlier run
    try:
        result = _run_stages(run, sources, output, config, predictor)
    except LastStageDone as signal:
        result = _Result(
            report=run_report(run, config, status="stopped", line=f"stopped after {signal}")
        )
    except VggtSfmError as error:
        report = run_report(
            run, config, ok=False, status="failed", line=str(error), error=type(error).__name__
        )
        with suppress(ReconstructionError):  # a full disk, say; the first error tells more
            _write_reports(output, _Result(report=report), run.progress)
        raise
    report = result.report
    objection = strict_objection(report) if config.strict else None
    if objection:
        report = replace(report, ok=False, reason=objection, error=ReconstructionError.__name__)
    verdict = _write_reports(output, replace(result, report=report), run.progress)
    if result.opened is not None and config.export:
        export_opened(result.opened, config.export, output, config.exports, progress=run.progress)
    if objection:
        raise ReconstructionError(f"--strict: {objection}; the model is in {output}")
    return ReconstructResult(output=output, report=report, verdict=verdict)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Result:
    """What is left of a run in memory when it ends."""

    report: RunReport
    opened: OpenedModel | None = None
    predicted_focal_px: dict[str, float] = field(default_factory=dict)


def _write_reports(output: Path, result: _Result, progress: Progress) -> Verdict | None:
    write_report(output, result.report)
    if not result.report.config.report:
        return None
    return write_html_report(
        output, result.report, result.opened, result.predicted_focal_px, progress
    )


def _run_stages(
    run: Run,
    sources: Sources,
    output: Path,
    config: ReconstructConfig,
    predictor: Predictor | None,
) -> _Result:
    files = gather(sources, output, config.ingest, run.progress)
    left_out: tuple[SkippedFile, ...] = ()
    if config.from_npz is not None:
        predictor, files, left_out = take_predictions(config.from_npz, files)
    predictor = predictor or open_predictor(config.predict, run.progress)
    if predictor.advice:
        _logger.info("%s", predictor.advice)
    scene = ingested(run, files, left_out, config, predictor)
    given = given_by_user(config, scene.value)
    network = network_report(predictor)
    keyed_predictor = Artifact(_network_key(network), predictor)
    predictions = run(
        PREDICT, how_to_predict(config.predict), scene=scene, predictor=keyed_predictor
    )
    world, predictions = in_known_world(run, config, given, scene, predictions)
    tracks = run(
        TRACK,
        replace(config.track, database=None),  # its content is an input, wherever it lies
        scene=scene,
        predictions=predictions,
        database=Artifact(database_key(config.track.database), config.track.database),
    )
    knowledge = Artifact(world.key, world.value.knowledge)
    seed = run(
        SEED,
        config.seed,
        scene=scene,
        predictions=predictions,
        tracks=tracks,
        knowledge=knowledge,
    )
    predicted = drop_points_behind_cameras(seed.value)
    write_model(output, predicted)  # on disk before the adjustment may fail
    refined = refine(
        run,
        config,
        predicted=predicted,
        predictor=keyed_predictor,
        scene=scene,
        predictions=predictions,
        tracks=tracks,
        seed=seed,
        knowledge=knowledge,
    )
    wants_depth = config.report or config.export or config.place.distances
    opened = opened_result(
        refined.model,
        scene=scene.value,
        predictions=predictions.value if wants_depth else None,
        before=predicted if refined.reason is None else None,
    )
    opened, placement = in_metres(opened, scene.value.frames, config.place, world.value)
    run(
        EXPORT,
        None,
        model=Artifact("", opened.model),
        output=Artifact("", output),
        scene=scene,
        tracks=refined.tracks,
        save_database=Artifact("", config.save_database),
        unit=Artifact("", opened.unit),
    )
    report = finished_report(
        run,
        config,
        network=network,
        scene=scene.value,
        predictions=predictions.value,
        model=opened.model,
        bundle=refined.bundle,
        rescue=refined.rescue,
        placement=placement,
        reason=refined.reason,
    )
    focals = predicted_focals(scene.value, predictions.value)
    return _Result(report=report, opened=opened, predicted_focal_px=focals)


def _network_key(network: NetworkReport) -> str:
    """Leave out what is only told: other words for a licence are no other network."""
    return fingerprint((network.name, network.weights_sha256, network.device))


def _make_writable(output: Path) -> None:
    """Make the output folder, and find out now rather than after an hour whether it takes files."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {output}: {error.strerror}; choose another folder with -o"
        ) from error
