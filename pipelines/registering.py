"""Find new photographs in a model that is there already, and extend it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vggt_sfm._files import replacing
from vggt_sfm._log import Progress, SilentProgress, get_logger
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.report import BundleReport
from vggt_sfm.errors import InputError, ReconstructionError
from vggt_sfm.io.colmap import write_sparse
from vggt_sfm.io.masks import read_mask
from vggt_sfm.io.models import find_model
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.io.photos import read_photo
from vggt_sfm.io.plain import to_plain
from vggt_sfm.io.rigs import has_rigs, without_rigs
from vggt_sfm.io.sources import Source
from vggt_sfm.localizing.localize import Photographs
from vggt_sfm.localizing.register import register_photographs
from vggt_sfm.pipelines.claims import claimed
from vggt_sfm.pipelines.gather import find_sources, gather
from vggt_sfm.pipelines.newcomers import known_photos, new_photos
from vggt_sfm.pipelines.opened import is_run, open_model
from vggt_sfm.pipelines.register_config import RegisterConfig
from vggt_sfm.pipelines.registered import (
    REPORT_FILE,
    RegisteredImage,
    RegisterReport,
    RegisterResult,
    registered_images,
)
from vggt_sfm.pipelines.stage import versions, writing
from vggt_sfm.pipelines.stages import SPARSE
from vggt_sfm.scene import Frame, SkippedFile

if TYPE_CHECKING:
    import pycolmap

REGISTERED_FOLDER = "vggt-sfm-registered"
_MADE = (Path(SPARSE).parts[0], REPORT_FILE)
_FEWEST_KNOWN = 2  # photographs: with one, nothing new could be placed
_AS_IT_LIES = 1  # EXIF's word for what need not be turned
_logger = get_logger(__name__)


def register(
    folder: str | Path,
    new_images: Source | Sequence[Source],
    output: str | Path | None = None,
    config: RegisterConfig | None = None,
    *,
    images: str | Path | None = None,
    progress: Progress | None = None,
) -> RegisterResult:
    """Find new photographs in a model, and write the model with those that were found.

    Poses, intrinsics and points that the model had stay to the last bit as they are, unless the
    extended model is to be adjusted. New photographs are turned upright if those of the model were:
    in a run, and where the size of a photograph's camera says so.

    Args:
        folder: The output of ``reconstruct``, or a folder with another model.
        new_images: What ``reconstruct`` takes as images.
        output: Where to; by default ``vggt-sfm-registered`` in the model's folder.
        config: Options.
        images: Where the photographs of the model are, if not where the run found them, or beside
            the model.
        progress: Where to report long work.

    Returns:
        Where the extended model is, and what became of each photograph.

    Raises:
        InputError: If the model, its photographs or all new ones cannot be read, or something is
            in the way.
        ReconstructionError: If no photograph was registered, which ``register.json`` explains, or
            nothing can be written.
    """
    folder, config = Path(folder).absolute(), config or RegisterConfig()
    progress = progress or SilentProgress()
    beside = folder.parent if folder.is_file() else folder
    output = (Path(output) if output is not None else beside / REGISTERED_FOLDER).absolute()
    opened = open_model(folder, None if images is None else Path(images))
    _check_place(output, folder)
    sources = find_sources(new_images, [output])
    known = _known(opened, folder, progress)
    upright = is_run(folder) or any(f.exif_orientation != _AS_IT_LIES for f in known.values())
    files = gather(sources, output, config.choice(), progress)
    new, skipped = new_photos(files, opened, known, progress, upright=upright)
    _check_new(new, skipped)
    extended, outcomes = register_photographs(
        opened.model,
        Photographs(frames=(*known.values(), *new), image_ids=tuple(known)),
        config.localize,
        read_image=read_photo,
        read_mask=read_mask,
        progress=progress,
    )
    new_points = extended.num_points3D() - opened.model.num_points3D()
    ok = extended.num_images() > opened.model.num_images()
    bundle = None
    if config.ba and ok:
        extended, bundle = _adjusted(extended, config, progress)
    images_now = registered_images(new, outcomes, opened.model, extended)
    report = RegisterReport(
        ok=ok,
        line=_line(images_now, new_points),
        model=str(folder),
        sparse=SPARSE if ok else None,
        photographs=len(known),
        upright=upright,
        unit=opened.unit,
        images=images_now,
        skipped=tuple(skipped),
        new_points=new_points,
        bundle=bundle,
        versions=versions(),
        config=config,
    )
    _write(output, extended if ok else None, report)
    _tell_images(images_now)
    if not ok:
        raise ReconstructionError(f"{report.line}; {output / REPORT_FILE} has all reasons")
    return RegisterResult(output=output, report=report)


def _check_place(output: Path, folder: Path) -> None:
    """Make sure, before any work, that the results may go where they are to go."""
    if (output / SPARSE).resolve() == find_model(folder).resolve():
        raise InputError(f"-o {output}: holds the model itself; choose another folder")
    if output.is_dir():
        with claimed(output, _MADE):
            pass


def _known(opened: OpenedModel, folder: Path, progress: Progress) -> dict[int, Frame]:
    known = known_photos(opened, progress)
    count = len(opened.images())
    if len(known) < _FEWEST_KNOWN:
        raise InputError(
            f"{folder}: {len(known)} of the model's {count} photographs are found, and "
            f"{_FEWEST_KNOWN} are needed to match new ones with; say where they are with --images"
        )
    if len(known) < count:
        _logger.warning("%d of the model's %d photographs are found", len(known), count)
    return known


def _check_new(new: Sequence[Frame], skipped: Sequence[SkippedFile]) -> None:
    """Say what is left out, and make sure that there is something else."""
    if not new:
        first = skipped[0]
        raise InputError(f"no new photograph in {len(skipped)} files; {first.name}: {first.reason}")
    there = [entry for entry in skipped if entry.twin]
    if there:
        _logger.info("%d files are there already: %s, …", len(there), there[0].name)
    for entry in skipped:
        if not entry.twin:
            _logger.warning("left out %s: %s", entry.name, entry.reason)


def _tell_images(images: Sequence[RegisteredImage]) -> None:
    for image in images:
        if image.reason is None:
            _logger.info("%s: %d of %d points agree", image.name, image.inliers, image.points)
        else:
            _logger.warning("not registered: %s: %s", image.name, image.reason)


def _line(images: Sequence[RegisteredImage], new_points: int) -> str:
    missed = [image for image in images if image.reason is not None]
    done = len(images) - len(missed)
    of = f"{done} of {len(images)} photographs registered"
    if missed:
        of += f", not {missed[0].name}: {missed[0].reason}"
    return of if not done else f"{of}; {new_points} new points"


def _adjusted(
    extended: pycolmap.Reconstruction, config: RegisterConfig, progress: Progress
) -> tuple[pycolmap.Reconstruction, BundleReport]:
    """Return the model after its adjustment, or as it was where that was not better."""
    free = without_rigs(extended) if has_rigs(extended) else extended
    adjusted, bundle = adjust(free, config.adjust, progress)
    if bundle.status == "refined":
        return adjusted, bundle
    _logger.warning("the extended model is not adjusted: %s: %s", bundle.status, bundle.reason)
    return extended, bundle


def _write(output: Path, model: pycolmap.Reconstruction | None, report: RegisterReport) -> None:
    """Write the report, and the model; without one, take away what an earlier call made."""
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        with claimed(output, _MADE):
            if model is None:
                shutil.rmtree(output / _MADE[0], ignore_errors=True)
            else:
                write_sparse(output / SPARSE, model)
            with replacing(output / REPORT_FILE) as temporary:
                text = json.dumps(to_plain(report), indent=1)
                temporary.write_text(text + "\n", encoding="utf-8")
