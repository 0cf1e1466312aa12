"""Open the result of a run, or any other model, for what people do next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vggt_sfm._log import get_logger
from vggt_sfm.ba.seed import drop_points_behind_cameras, seed_reconstruction
from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import read_sparse
from vggt_sfm.io.images import ImageFile
from vggt_sfm.io.masks import find_masks, read_mask, with_mask
from vggt_sfm.io.models import find_model, read_model
from vggt_sfm.io.opened import OpenedModel, PhotoDepth, scaled_to_points, without_masked
from vggt_sfm.io.photos import find_photos
from vggt_sfm.io.plain import from_plain
from vggt_sfm.io.transforms import PHOTO_FOLDERS
from vggt_sfm.pipelines.placed import METRES
from vggt_sfm.pipelines.report import RUN_FILE, RunReport
from vggt_sfm.pipelines.stage import Stage, Workspace
from vggt_sfm.pipelines.stages import INGEST, KNOW, PREDICT, TRACK
from vggt_sfm.placing.place import apply, sim3d
from vggt_sfm.priors.world import KnownWorld, into_known_world
from vggt_sfm.scene import Frame, Predictions, Scene

if TYPE_CHECKING:
    import pycolmap

T = TypeVar("T")
WORK = "work"
_logger = get_logger(__name__)


def is_run(folder: Path) -> bool:
    """Tell whether a folder is the output of a run."""
    return (folder / RUN_FILE).is_file()


def read_run(folder: Path) -> RunReport:
    """Read ``run.json``.

    Raises:
        InputError: If it is missing, damaged or of another version.
    """
    path = folder / RUN_FILE
    try:
        return from_plain(RunReport, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the report of a run of this version: {error}") from error


def stage_result(folder: Path, report: RunReport, stage: Stage[T]) -> T | None:
    """Return what a stage of a run has made, or None if it did not get there or is not kept."""
    keys = {record.name: record.key for record in report.stages}
    key = keys.get(stage.name)
    return None if key is None else Workspace(folder / WORK).load(stage, key)


def open_model(folder: Path, images: Path | None = None, masks: Path | None = None) -> OpenedModel:
    """Open the output folder of a run, or a model of whatever origin.

    Args:
        folder: The output folder; a folder that is or holds a COLMAP model; a ``transforms.json``,
            or a folder with one.
        images: Where the photographs are, if not where the run found them, or beside the model.
        masks: Where masks of the photographs are, named as in COLMAP; a run knows its own.

    Raises:
        InputError: If there is no readable model, or one of the folders is missing.
    """
    if images is not None and not images.is_dir():
        raise InputError(f"--images {images}: no such folder")
    report = _report_of(folder)
    if report is not None:
        opened = _open_run(folder, report, images)
    else:
        found = find_model(folder)
        model = read_model(found)
        beside = _photos_beside(model, found) if images is None else find_photos(model, images)
        opened = OpenedModel(model=model, frames=beside)
    return opened if masks is None else replace(opened, frames=_masked(opened.frames, masks))


def _report_of(folder: Path) -> RunReport | None:
    """Return the report of a run; None for other models, and runs of other versions."""
    if not is_run(folder):
        return None
    try:
        return read_run(folder)
    except InputError as error:
        find_model(folder)  # or there is nothing to open
        _logger.warning("%s; only its model is opened", error)
        return None


def _photos_beside(model: pycolmap.Reconstruction, found: Path) -> dict[str, Frame]:
    """Find the photographs of a COLMAP model in ``images``; other files name them from theirs."""
    root, others = (found.parent, (".",)) if found.is_file() else (found, ())
    for name in (*PHOTO_FOLDERS, *others):
        folder = (root / name).resolve()
        frames = find_photos(model, folder) if folder.is_dir() else {}
        if frames:
            return frames
    return {}


def _masked(frames: Mapping[str, Frame], masks: Path) -> dict[str, Frame]:
    files = [ImageFile(name=name, path=Path(frame.path)) for name, frame in frames.items()]
    found = find_masks(masks, files) if files else {}
    return {n: with_mask(f, found[n]) if n in found else f for n, f in frames.items()}


def _open_run(folder: Path, report: RunReport, images: Path | None) -> OpenedModel:
    if report.sparse is None:
        raise InputError(f"{folder} holds no model: {report.line}")
    model = read_sparse(folder / report.sparse)
    scene = stage_result(folder, report, INGEST)
    predictions = stage_result(folder, report, PREDICT)
    world = stage_result(folder, report, KNOW) or KnownWorld()
    if scene and predictions:
        predictions = into_known_world(predictions, scene, world)
    tracks = stage_result(folder, report, TRACK)
    before = None
    if report.status == "adjusted" and scene and predictions and tracks:
        config = report.config.seed
        seed = seed_reconstruction(scene, predictions, tracks, config, world.knowledge)
        before = drop_points_behind_cameras(seed)
    if scene is not None and images is not None:
        scene = replace(scene, frames=tuple(_moved(frame, images) for frame in scene.frames))
    placement, scale = report.placement, 1.0
    applied = placement.new_from_old if placement is not None and placement.applied else None
    if applied is not None:
        scale = applied.scale
        before = apply(before, sim3d(applied)) if before is not None else None
    opened = opened_result(model, scene=scene, predictions=predictions, before=before, scale=scale)
    if scene is None and images is not None:  # the work folder was removed
        opened = replace(opened, frames=find_photos(model, images))
    if applied is None or placement is None:
        return opened
    return replace(opened, unit=METRES, georeferenced=placement.georeferenced)


def _moved(frame: Frame, images: Path) -> Frame:
    path = str((images / frame.name).absolute())
    own_mask = frame.mask_path == frame.path
    return replace(frame, path=path, mask_path=path if own_mask else frame.mask_path)


def opened_result(
    model: pycolmap.Reconstruction,
    *,
    scene: Scene | None,
    predictions: Predictions | None,
    before: pycolmap.Reconstruction | None,
    scale: float = 1.0,
) -> OpenedModel:
    """Put together what a run has made.

    Args:
        model: The final model.
        scene: The photographs, if they are still known.
        predictions: Predicted depth, likewise.
        before: The model before the adjustment, if there was one.
        scale: Units of the model per unit of the prediction, where a photograph has too few points
            to tell.
    """
    frames = scene.frames if scene else ()
    return OpenedModel(
        model=model,
        frames={frame.name: frame for frame in frames if Path(frame.path).is_file()},
        depths=_depths(model, scene, predictions, scale) if scene and predictions else {},
        before=before,
    )


def _depths(
    model: pycolmap.Reconstruction, scene: Scene, predictions: Predictions, scale: float
) -> dict[str, PhotoDepth]:
    images = {image.name: image for image in model.images.values() if image.has_pose}
    depths = {}
    for s, (frame, pixel_map) in enumerate(zip(scene.frames, scene.pixel_maps, strict=True)):
        if frame.name in images:
            raw = PhotoDepth(
                depth=predictions.depth[s],
                confidence=predictions.depth_confidence[s],
                pixel_map=pixel_map,
            )
            try:
                raw = without_masked(raw, read_mask(frame))
            except InputError as error:
                _logger.warning("no depth for %s, whose mask cannot be read: %s", frame.name, error)
                continue
            depths[frame.name] = scaled_to_points(raw, model, images[frame.name], scale)
    return depths
