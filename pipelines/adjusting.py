"""Bundle adjustment of a model that is there already."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vggt_sfm._files import replacing
from vggt_sfm._log import Progress, SilentProgress, get_logger
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.ba.knowledge import Knowledge
from vggt_sfm.ba.report import BundleReport
from vggt_sfm.errors import InputError, ReconstructionError
from vggt_sfm.io.colmap import write_sparse
from vggt_sfm.io.images import natural_key
from vggt_sfm.io.models import find_model, read_model
from vggt_sfm.io.opened import OpenedModel, placed_images
from vggt_sfm.io.plain import to_plain
from vggt_sfm.io.rigs import has_rigs, without_rigs
from vggt_sfm.pipelines.claims import claimed
from vggt_sfm.pipelines.pointless import photographs_of, with_points
from vggt_sfm.pipelines.stage import versions, writing
from vggt_sfm.pipelines.stages import SPARSE
from vggt_sfm.pipelines.written import WrittenModel
from vggt_sfm.priors.rig import rigs_of_model
from vggt_sfm.report.build import build_report
from vggt_sfm.report.facts import ImageFacts, ModelFacts, RunFacts, Verdict

if TYPE_CHECKING:
    import pycolmap

ADJUSTED_FOLDER = "vggt-sfm-adjusted"
REPORT_FILE = "adjust.json"
FOUND = "found-points"
"""Folder of the run that finds points for a model without any."""
_DISSOLVED = "rigs of several cameras are dissolved: every image was adjusted by itself"
_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustReport:
    """What an adjustment did: the content of ``adjust.json``."""

    schema: int = 1
    ok: bool = True
    model: str
    """What was adjusted."""
    line: str
    """The outcome in one line, for people."""
    verdict: Verdict | None
    """Whether the result can be used; None where the model is as it was."""
    before: ModelFacts | None
    after: ModelFacts | None
    """The model that was written; equal to ``before`` where nothing was adjusted."""
    images: tuple[ImageFacts, ...]
    """In natural order of their names."""
    bundle: BundleReport
    remarks: tuple[str, ...]
    versions: dict[str, str]
    config: BundleConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustResult(WrittenModel):
    """Where an adjusted model lies, and what was done."""

    report: AdjustReport

    @property
    def report_file(self) -> Path:
        """``adjust.json``."""
        return self.output / REPORT_FILE


def adjust_model(
    folder: str | Path,
    output: str | Path | None = None,
    config: BundleConfig | None = None,
    *,
    images: str | Path | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> AdjustResult:
    """Refine poses, intrinsics and points of any model.

    World, scale and ids of cameras, images and points stay those of the model; for a model without
    points, some are found in its photographs first, and ids are those of the run that does so.
    Cameras of a rig stay together, unless the tracks contradict. Where the adjustment is no better,
    or nothing can be adjusted, the model is written as it was.

    Args:
        folder: The output of ``reconstruct``, a folder that is or holds a COLMAP model, or a
            transforms.json.
        output: Where to; by default ``vggt-sfm-adjusted`` in the folder.
        config: Options.
        images: Where the photographs of a model without points are, if not beside it.
        strict: Whether a model that is as it was is an error.
        progress: Counts solver iterations.

    Returns:
        Where the model is, and what was done.

    Raises:
        InputError: If there is no model, it has no images, or no points and no photographs, or
            something is in the way.
        ReconstructionError: If it cannot be written, or ``strict`` forbids the result.
    """
    folder, config = Path(folder).absolute(), config or BundleConfig()
    progress = progress or SilentProgress()
    found = find_model(folder)
    beside = folder.parent if folder.is_file() else folder
    output = (Path(output) if output is not None else beside / ADJUSTED_FOLDER).absolute()
    if (output / SPARSE).resolve() == found.resolve():
        raise InputError(f"-o {output}: holds the model itself; choose another folder")
    model = read_model(folder)
    if not placed_images(model):
        raise InputError(f"{folder}: holds no image with a pose")
    photographs = []
    if not model.num_points3D():
        photographs = photographs_of(folder, None if images is None else Path(images))
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        # Before the work, so that nobody waits for what cannot be written.
        with claimed(output, (Path(SPARSE).parts[0], REPORT_FILE, FOUND)):
            if not model.num_points3D():
                model = with_points(folder, photographs, output / FOUND, progress)
            opened, bundle, remarks = _adjusted(model, config, progress)
            report = _report(folder, opened, bundle, config, remarks, progress)
            write_sparse(output / SPARSE, opened.model)
            _write_report(output / REPORT_FILE, report)
    if strict and bundle.status != "refined":
        raise ReconstructionError(f"--strict: {report.line}; it is in {output}")
    return AdjustResult(output=output, report=report)


def _adjusted(
    model: pycolmap.Reconstruction, config: BundleConfig, progress: Progress
) -> tuple[OpenedModel, BundleReport, tuple[str, ...]]:
    """Return the model to write, the report of its adjustment, and remarks."""
    rigs = has_rigs(model)
    start = without_rigs(model) if rigs else model
    adjusted, bundle = adjust(start, config, progress, Knowledge(rigs=rigs_of_model(model)))
    if bundle.status != "refined":
        return OpenedModel(model=model), bundle, ()
    remarks = (f"{_DISSOLVED} ({bundle.rig})",) if rigs and not has_rigs(adjusted) else ()
    return OpenedModel(model=adjusted, before=model), bundle, remarks


def _report(
    folder: Path,
    opened: OpenedModel,
    bundle: BundleReport,
    config: BundleConfig,
    remarks: tuple[str, ...],
    progress: Progress,
) -> AdjustReport:
    run = RunFacts(
        status="adjusted", line="", ok=True, bundle=bundle, versions=versions(), config={}
    )
    page, _ = build_report(str(folder), run, _image_facts(bundle), opened, {}, progress)
    return AdjustReport(
        model=str(folder),
        line=_line(bundle, page.before, page.after),
        verdict=page.verdict if bundle.status == "refined" else None,
        before=page.before or page.after,
        after=page.after,
        images=page.images,
        bundle=bundle,
        remarks=remarks,
        versions=versions(),
        config=config,
    )


def _image_facts(bundle: BundleReport) -> list[ImageFacts]:
    return [
        ImageFacts(
            name=image.name,
            status=image.status,
            reason=image.reason,
            rotation_sigma_deg=image.rotation_sigma_deg,
            translation_sigma=image.translation_sigma,
        )
        for image in sorted(bundle.images, key=lambda image: natural_key(image.name))
    ]


def _line(bundle: BundleReport, before: ModelFacts | None, after: ModelFacts | None) -> str:
    if bundle.status != "refined":
        return f"{bundle.status}: {bundle.reason}; the model is written as it was"
    line = f"refined: {bundle.num_refined} of {len(bundle.images)} images"
    if before and after and before.mean_error_px is not None and after.mean_error_px is not None:
        line += (
            f", mean reprojection error {before.mean_error_px:.2f} px before, "
            f"{after.mean_error_px:.2f} px after"
        )
    if bundle.focal_before_px is not None and bundle.focal_after_px is not None:
        line += (
            f", focal length {bundle.focal_before_px:.1f} px before, "
            f"{bundle.focal_after_px:.1f} px after"
        )
    return line


def _write_report(path: Path, report: AdjustReport) -> None:
    with replacing(path) as temporary:
        text = json.dumps(to_plain(report), indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")
