"""From photographs to a COLMAP model."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vggt_sfm._log import Progress, SilentProgress, get_logger
from vggt_sfm.ba.seed import drop_points_behind_cameras
from vggt_sfm.errors import InputError, ReconstructionError, VggtSfmError
from vggt_sfm.inference import Predictor, open_predictor
from vggt_sfm.io.colmap import read_sparse
from vggt_sfm.io.colmap_database import check_replaceable
from vggt_sfm.io.images import ImageFile, discover
from vggt_sfm.io.masks import find_masks
from vggt_sfm.models.choice import PredictConfig, model_preprocessing
from vggt_sfm.models.store import with_environment
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.keys import content_key, database_key, mask_key
from vggt_sfm.pipelines.report import (
    RUN_FILE,
    NetworkReport,
    RunReport,
    finished_report,
    network_report,
    run_report,
    strict_objection,
    write_report,
)
from vggt_sfm.pipelines.run import LastStageDone, Run
from vggt_sfm.pipelines.stage import Artifact, Stage, Workspace, fingerprint
from vggt_sfm.pipelines.stages import (
    ADJUST,
    DATABASE,
    EXPORT,
    INGEST,
    PREDICT,
    SEED,
    STAGES,
    TRACK,
    write_model,
)

if TYPE_CHECKING:
    import pycolmap

T = TypeVar("T")
_WORK = "work"
_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructResult:
    """Where the results of a run lie, and what the run says about them."""

    output: Path
    report: RunReport
    """The content of ``run.json``."""

    @property
    def sparse(self) -> Path | None:
        """Folder of the COLMAP model; None if the run was stopped before it."""
        return None if self.report.sparse is None else self.output / self.report.sparse

    @property
    def points(self) -> Path | None:
        """The point cloud; None if the run was stopped before it."""
        return None if self.report.points is None else self.output / self.report.points

    @property
    def run_file(self) -> Path:
        """``run.json``."""
        return self.output / RUN_FILE

    def of_stage(self, stage: Stage[T]) -> T:
        """Read what a stage of the run has made.

        Raises:
            ReconstructionError: If the run was stopped before it, or its result is not kept.
        """
        keys = {record.name: record.key for record in self.report.stages}
        key = keys.get(stage.name)
        found = None if key is None else Workspace(self.output / _WORK).load(stage, key)
        if found is None:
            raise ReconstructionError(f"{self.output}: no result of {stage.name}")
        return found

    def reconstruction(self) -> pycolmap.Reconstruction:
        """Read the COLMAP model.

        Raises:
            ReconstructionError: If the run was stopped before it.
        """
        if self.sparse is None:
            raise ReconstructionError(f"no model: {self.report.line}")
        return read_sparse(self.sparse)


def reconstruct(
    images: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    config: ReconstructConfig | None = None,
    *,
    progress: Progress | None = None,
    predictor: Predictor | None = None,
) -> ReconstructResult:
    """Reconstruct cameras and points from photographs.

    Args:
        images: A folder, a glob, a text file with one path per line, or several of them.
        output: Folder for the results; by default ``default_output(images)``.
        config: Options; the defaults need nothing but the images.
        progress: Where to report long work.
        predictor: What ``open_predictor(config.predict, keep=True)`` returned, for many calls.

    Returns:
        Where the model is, and how it was made.

    Raises:
        InputError: If there are no usable images or the output cannot be written.
        WeightsError: If the model's weights are missing or do not fit.
        CapabilityError: If the machine lacks what the config asks for.
        ReconstructionError: If nothing could be written, or ``config.strict`` forbids the result.
    """
    config = config or ReconstructConfig()
    config = replace(config, predict=with_environment(config.predict))
    output = (Path(output) if output is not None else default_output(images)).absolute()
    masks = config.ingest.masks
    files = discover(images, exclude=[output, masks] if masks else [output])
    if config.save_database:
        check_replaceable(output / DATABASE, config.track.database)
    _make_writable(output)
    run = Run(
        workspace=Workspace(output / _WORK),
        progress=progress or SilentProgress(),
        force=STAGES[config.force] if config.force else None,
        until=STAGES[config.until] if config.until else None,
    )
    # Until it ends: whoever finds this knows that the run was killed, whatever else lies there.
    write_report(
        output, run_report(run, config, ok=False, status="unfinished", line="running, or killed")
    )
    try:
        report = _run_stages(run, files, output, config, predictor)
    except LastStageDone as signal:
        report = run_report(run, config, status="stopped", line=f"stopped after {signal}")
    except VggtSfmError as error:
        report = run_report(
            run, config, ok=False, status="failed", line=str(error), error=type(error).__name__
        )
        with suppress(ReconstructionError):  # a full disk, say; the first error tells more
            write_report(output, report)
        raise
    objection = strict_objection(report) if config.strict else None
    if objection:
        report = replace(report, ok=False, reason=objection, error=ReconstructionError.__name__)
    write_report(output, report)
    if objection:
        raise ReconstructionError(f"--strict: {objection}; the model is in {output}")
    return ReconstructResult(output=output, report=report)


def default_output(images: str | Path | Sequence[str | Path]) -> Path:
    """Return where results go if nobody says: beside an image folder, else in this folder."""
    listed = [images] if isinstance(images, str | Path) else images
    beside = len(listed) == 1 and Path(listed[0]).is_dir()
    return (Path(listed[0]).absolute().parent if beside else Path.cwd()) / "vggt-sfm-out"


def _run_stages(
    run: Run,
    files: list[ImageFile],
    output: Path,
    config: ReconstructConfig,
    predictor: Predictor | None,
) -> RunReport:
    masks = find_masks(config.ingest.masks, files) if config.ingest.masks else {}
    database = Artifact(database_key(config.track.database), config.track.database)
    predictor = predictor or open_predictor(config.predict, run.progress)
    if predictor.advice:
        _logger.info("%s", predictor.advice)
    preprocessing = model_preprocessing(config.predict)
    scene = run(
        INGEST,
        replace(config.ingest, masks=None),  # where they lie and what they hold is an input
        files=Artifact(content_key(files), files),
        masks=Artifact(mask_key(masks), masks),
        preprocessing=Artifact(fingerprint(preprocessing), preprocessing),
    )
    for entry in scene.value.skipped:
        _logger.warning("left out %s: %s", entry.name, entry.reason)
    network = network_report(predictor)
    predictions = run(
        PREDICT,
        _how_to_predict(config.predict),
        scene=scene,
        predictor=Artifact(_network_key(network), predictor),
    )
    tracks = run(
        TRACK,
        replace(config.track, database=None),  # its content is an input, wherever it lies
        scene=scene,
        predictions=predictions,
        database=database,
    )
    seed = run(SEED, config.seed, scene=scene, predictions=predictions, tracks=tracks)
    model, bundle, reason = drop_points_behind_cameras(seed.value), None, None
    write_model(output, model)  # on disk before the adjustment may fail
    if len(scene.value.frames) == 1:
        reason = "a single image cannot be adjusted"
    elif not config.ba:
        reason = "bundle adjustment is off"
    else:
        adjusted = run(ADJUST, config.adjust, seed=seed).value
        bundle = adjusted.report
        if bundle.status == "refined":
            model = adjusted.model
        else:
            reason = f"adjustment {bundle.status}: {bundle.reason}"
    run(
        EXPORT,
        None,
        model=Artifact("", model),
        output=Artifact("", output),
        scene=scene,
        tracks=tracks,
        save_database=Artifact("", config.save_database),
    )
    return finished_report(
        run,
        config,
        network=network,
        scene=scene.value,
        predictions=predictions.value,
        model=model,
        bundle=bundle,
        reason=reason,
    )


def _network_key(network: NetworkReport) -> str:
    """Leave out what is only told: other words for a licence are no other network."""
    return fingerprint((network.name, network.weights_sha256, network.device))


def _how_to_predict(config: PredictConfig) -> PredictConfig:
    """Leave out where the weights come from: their content is part of the key already."""
    return replace(config, weights=None, model=None, offline=False, commercial_only=False)


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
