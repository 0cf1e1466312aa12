"""The stages of a reconstruction: what each does with its inputs, and how its result is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vggt_sfm._files import replacing_folder
from vggt_sfm._log import Progress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.ba.knowledge import Knowledge, KnownCamera, KnownRig
from vggt_sfm.ba.report import BundleReport
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.errors import InputError
from vggt_sfm.export.points import export_ply
from vggt_sfm.io.colmap import read_sparse, write_sparse
from vggt_sfm.io.colmap_database import write_database
from vggt_sfm.io.images import ImageFile, read_frame
from vggt_sfm.io.kept_images import KeptImages
from vggt_sfm.io.masks import read_mask, with_alpha_mask, with_mask
from vggt_sfm.io.plain import from_plain, to_plain
from vggt_sfm.io.preprocess import NO_IMAGES, network_images, plan_pixel_maps, stretched_maps
from vggt_sfm.io.shared_cameras import with_shared_cameras
from vggt_sfm.models.choice import PredictConfig, Preprocessing
from vggt_sfm.pipelines.config import IngestConfig
from vggt_sfm.pipelines.stage import Hdf5Store, JsonStore, Stage, writing
from vggt_sfm.priors.config import PriorConfig
from vggt_sfm.priors.poses import GivenPoses
from vggt_sfm.priors.world import KnownWorld, known_world
from vggt_sfm.scene import Frame, Predictions, Scene, Size, SkippedFile, Tracks
from vggt_sfm.tracking.build import build_tracks
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.threads import opencv_threads

if TYPE_CHECKING:
    import pycolmap

    from vggt_sfm.inference import Predictor

# Relative to the output folder; users' scripts rely on these names.
SPARSE = "sparse/0"
POINTS = "points.ply"
DATABASE = "database.db"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Adjusted:
    """A model after bundle adjustment, or as it was where the adjustment was rejected."""

    model: pycolmap.Reconstruction
    report: BundleReport


@dataclass(frozen=True, slots=True)
class AdjustedStore:
    """A COLMAP model and the report of its adjustment, as a folder."""

    suffix: str = ""

    def save(self, path: Path, value: Adjusted, attributes: Mapping[str, str]) -> None:
        """Write the folder whole or not at all."""
        with replacing_folder(path) as temporary:
            write_sparse(temporary, value.model)
            text = json.dumps({"report": to_plain(value.report), "attributes": dict(attributes)})
            (temporary / "report.json").write_text(text, encoding="utf-8")

    def load(self, path: Path) -> Adjusted:
        """Read the folder back; ValueError if it is damaged."""
        try:
            plain = json.loads((path / "report.json").read_text(encoding="utf-8"))
            report = from_plain(BundleReport, plain["report"], "report")
            return Adjusted(model=read_sparse(path), report=report)
        except (OSError, KeyError, TypeError, InputError) as error:
            raise ValueError(str(error)) from error


def run_ingest(
    config: IngestConfig,
    *,
    files: list[ImageFile],
    masks: Mapping[str, Path],
    rig: Path | None,
    preprocessing: Preprocessing | Size,
    progress: Progress,
) -> Scene:
    """Read the headers of all files and plan their way into the network.

    Files that cannot be decoded, and second copies of the same bytes, are left out.

    Raises:
        InputError: If no file is left, or a mask or the rig cannot be used.
    """
    frames: list[Frame] = []
    skipped: list[SkippedFile] = []
    name_of: dict[str, str] = {}
    with progress.task("reading", len(files)) as task:
        for file in files:
            try:
                frame = read_frame(file)
            except InputError as error:
                skipped.append(SkippedFile(name=file.name, reason=str(error)))
            else:
                twin = name_of.setdefault(frame.sha256, frame.name)
                if twin == frame.name:
                    frames.append(frame)
                else:
                    reason = f"same file as {twin}"
                    skipped.append(SkippedFile(name=file.name, reason=reason, twin=True))
            task.advance()
    if not frames:
        raise InputError(f"none of {len(files)} image files can be read; {skipped[0].reason}")
    # Not left out like a photograph: without its mask it would be used where it must not.
    frames = [_masked(frame, masks.get(frame.name), config.alpha_masks) for frame in frames]
    frames = with_shared_cameras(frames, config.cameras, rig)
    sizes = [frame.size for frame in frames]
    if isinstance(preprocessing, Size):
        pixel_maps = stretched_maps(sizes, preprocessing)
    else:
        mode = preprocessing.mode if config.preprocess == "auto" else config.preprocess
        long_side = preprocessing.for_frames(len(frames))
        pixel_maps = plan_pixel_maps(sizes, mode, long_side, preprocessing.multiple)
    return Scene(frames=tuple(frames), pixel_maps=pixel_maps, skipped=tuple(skipped))


def _masked(frame: Frame, mask: Path | None, alpha_masks: bool) -> Frame:
    if mask is not None:
        return with_mask(frame, mask)
    return with_alpha_mask(frame) if alpha_masks else frame


def run_predict(
    config: PredictConfig, *, scene: Scene, predictor: Predictor, progress: Progress
) -> Predictions:
    """Ask the network for cameras and depth."""
    images = network_images(scene.frames, scene.pixel_maps) if predictor.needs_images else NO_IMAGES
    return predictor(images, scene, progress)


def run_know(
    config: PriorConfig,
    *,
    given: GivenPoses,
    cameras: tuple[KnownCamera, ...],
    rigs: tuple[KnownRig, ...],
    scene: Scene,
    predictions: Predictions,
    progress: Progress,
) -> KnownWorld:
    """Find where predictions lie in the world of known cameras.

    Raises:
        InputError: If what is known does not fit.
    """
    return known_world(given, cameras, scene, predictions, config, rigs)


def run_track(
    config: TrackConfig,
    *,
    scene: Scene,
    predictions: Predictions,
    database: Path | None,
    progress: Progress,
) -> Tracks:
    """Find multi-view tracks in the original images."""
    with opencv_threads(config.threads):
        return build_tracks(
            replace(config, database=database),
            scene,
            predictions,
            progress,
            read_image=KeptImages(),
            read_mask=read_mask,
        )


def run_seed(
    config: SeedConfig,
    *,
    scene: Scene,
    predictions: Predictions,
    tracks: Tracks,
    knowledge: Knowledge,
    progress: Progress,
) -> pycolmap.Reconstruction:
    """Put predicted cameras and tracks together as a COLMAP model."""
    return seed_reconstruction(scene, predictions, tracks, config, knowledge)


def run_adjust(
    config: BundleConfig,
    *,
    seed: pycolmap.Reconstruction,
    knowledge: Knowledge,
    progress: Progress,
) -> Adjusted:
    """Refine the model by bundle adjustment."""
    model, report = adjust(seed, config, progress, knowledge)
    return Adjusted(model=model, report=report)


def run_export(
    config: None,
    *,
    model: pycolmap.Reconstruction,
    output: Path,
    scene: Scene,
    tracks: Tracks,
    save_database: bool,
    unit: str,
    progress: Progress,
) -> Path:
    """Write the final model, its points and, if asked for, a database; return the output folder."""
    write_model(output, model)
    with writing(output / POINTS):
        export_ply(model, output / POINTS, unit)
    if save_database:
        with writing(output / DATABASE):
            write_database(output / DATABASE, scene, tracks, model)
    return output


def write_model(output: Path, model: pycolmap.Reconstruction) -> None:
    """Write a COLMAP model to where users look for it."""
    with writing(output / SPARSE):
        write_sparse(output / SPARSE, model)


# Raise a version when the meaning of the stage's result changes: old results are then not found.
INGEST = Stage(number=1, name="ingest", version=4, run=run_ingest, store=Hdf5Store(Scene))
PREDICT = Stage(number=2, name="predict", version=9, run=run_predict, store=Hdf5Store(Predictions))
# Beside the prediction, which it is not copied into.
KNOW = Stage(number=2, name="know", version=1, run=run_know, store=JsonStore(KnownWorld))
TRACK = Stage(number=3, name="track", version=4, run=run_track, store=Hdf5Store(Tracks))
SEED = Stage(number=4, name="seed", version=3, run=run_seed, store=None)
ADJUST = Stage(number=5, name="adjust", version=6, run=run_adjust, store=AdjustedStore())
EXPORT = Stage(number=6, name="export", version=1, run=run_export, store=None)

STAGES = {stage.name: stage for stage in (INGEST, PREDICT, KNOW, TRACK, SEED, ADJUST, EXPORT)}
