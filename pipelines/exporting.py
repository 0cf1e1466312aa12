"""Export a model to what other programs read."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vggt_sfm._log import Progress, SilentProgress, get_logger
from vggt_sfm.export.colmap import export_colmap, export_colmap_text, export_gsplat
from vggt_sfm.export.depth_files import export_depth_exr, export_depth_npz
from vggt_sfm.export.gltf import export_glb
from vggt_sfm.export.nerfstudio import DEPTH, POINTS, export_nerfstudio
from vggt_sfm.export.photo_folders import IMAGES, MASKS
from vggt_sfm.export.points import export_ply
from vggt_sfm.export.trajectories import export_kitti, export_tum
from vggt_sfm.export.words import ExportConfig, ExportWord, check_capable
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.io.transforms import TRANSFORMS
from vggt_sfm.io.video import frame_times
from vggt_sfm.pipelines import stages
from vggt_sfm.pipelines.claims import check_sources, claimed
from vggt_sfm.pipelines.opened import is_run, open_model
from vggt_sfm.pipelines.stage import writing

EXPORT_FOLDER = "vggt-sfm-export"
_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Order:
    """What an export is made from."""

    opened: OpenedModel
    config: ExportConfig
    progress: Progress
    seconds: Mapping[str, float]
    """When images of a video were taken, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """What a word stands for."""

    makes: tuple[str, ...]
    """Names in the folder; the first is what people go on with."""
    write: Callable[[_Order, Path], None]
    """The path is that of the first name."""
    then: str = ""
    """What to run next; {} is the first name's path, {folder} the folder's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One export that was made."""

    word: ExportWord
    path: Path
    then: str
    """What to run next; empty where the format says it."""


_NERFSTUDIO = _Target(
    makes=(TRANSFORMS, IMAGES, MASKS, DEPTH, POINTS),
    write=lambda o, path: export_nerfstudio(o.opened, path.parent, o.progress),
)
_TARGETS: dict[ExportWord, _Target] = {
    "colmap": _Target(
        makes=("colmap",), write=lambda o, path: export_colmap(o.opened, path, o.progress)
    ),
    "colmap-text": _Target(
        makes=("colmap-text",),
        write=lambda o, path: export_colmap_text(o.opened, path, o.progress),
    ),
    "nerfstudio": replace(_NERFSTUDIO, then="ns-train splatfacto --data {folder}"),
    "instant-ngp": replace(_NERFSTUDIO, then="instant-ngp {}"),
    "gsplat": _Target(
        makes=("gsplat",),
        write=lambda o, path: export_gsplat(o.opened, path, o.config.factors(), o.progress),
        then="simple_trainer.py default --data-dir {} --data-factor 1",
    ),
    "glb": _Target(makes=("scene.glb",), write=lambda o, path: export_glb(o.opened, path)),
    "ply": _Target(
        makes=(stages.POINTS,),
        write=lambda o, path: export_ply(o.opened.model, path, o.opened.unit),
    ),
    "depth-npz": _Target(
        makes=("depth",), write=lambda o, path: export_depth_npz(o.opened, path, o.progress)
    ),
    "depth-exr": _Target(
        makes=("depth_exr",), write=lambda o, path: export_depth_exr(o.opened, path, o.progress)
    ),
    "tum": _Target(
        makes=("trajectory.tum.txt",),
        write=lambda o, path: export_tum(o.opened, path, o.seconds),
        then="evo_traj tum {}",
    ),
    "kitti": _Target(
        makes=("trajectory.kitti.txt", "trajectory.kitti.images.txt"),
        write=lambda o, path: export_kitti(o.opened, path),
        then="evo_traj kitti {}",
    ),
}


def export(
    folder: str | Path,
    words: Sequence[ExportWord],
    output: str | Path | None = None,
    config: ExportConfig | None = None,
    *,
    images: str | Path | None = None,
    masks: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Exported]:
    """Export the result of a run, or any other model.

    Each export is written whole or not at all; what an earlier export made is replaced, anything
    else is left alone.

    Args:
        folder: The output of ``reconstruct``; a folder that is or holds a COLMAP model; a
            ``transforms.json``, or a folder with one.
        words: What to export to.
        output: Where to; by default the output of the run itself, or ``vggt-sfm-export`` in the
            folder of another model.
        config: Options.
        images: Where the photographs are, if not where the run found them, or beside the model.
        masks: Where masks of the photographs are, named as in COLMAP; a run knows its own.
        progress: Where to report long work.

    Returns:
        What was made, in the order of the words.

    Raises:
        InputError: If the model or the photographs cannot be read, or something is in the way.
        CapabilityError: If a package is missing.
        ReconstructionError: If something cannot be written.
    """
    check_capable(words)
    folder = Path(folder).absolute()
    opened = open_model(
        folder,
        None if images is None else Path(images),
        None if masks is None else Path(masks),
    )
    if output is None:
        beside = folder.parent if folder.is_file() else folder
        output = folder if is_run(folder) else beside / EXPORT_FOLDER
    return export_opened(opened, words, Path(output).absolute(), config, progress=progress)


def export_opened(
    opened: OpenedModel,
    words: Sequence[ExportWord],
    output: Path,
    config: ExportConfig | None = None,
    *,
    seconds: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> list[Exported]:
    """Export a model that is open already; see ``export``.

    ``seconds`` tells when images were taken, by name; otherwise frames of a video tell it.
    """
    order = _Order(
        opened=opened,
        config=config or ExportConfig(),
        progress=progress or SilentProgress(),
        seconds=frame_times(opened.frames.values()) if seconds is None else seconds,
    )
    done = []
    for word in dict.fromkeys(words):
        target = _TARGETS[word]
        path = output / target.makes[0]
        with writing(path):
            output.mkdir(parents=True, exist_ok=True)
            with claimed(output, target.makes):
                check_sources(opened, [output / name for name in target.makes])
                target.write(order, path)
        _logger.info("%s: %s", word, path)
        then = target.then.replace("{folder}", shlex.quote(str(output)))
        then = then.replace("{}", shlex.quote(str(path)))
        done.append(Exported(word=word, path=path, then=then))
    return done
