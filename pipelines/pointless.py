"""Points for models that have cameras alone, such as a transforms.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vggt_sfm._log import Progress, get_logger
from vggt_sfm.errors import InputError
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.opened import open_model
from vggt_sfm.pipelines.reconstruct import reconstruct
from vggt_sfm.priors.config import PriorConfig

if TYPE_CHECKING:
    import pycolmap

_HELD = 0.0
_logger = get_logger(__name__)


def photographs_of(folder: Path, images: Path | None) -> list[str]:
    """Return the files of all photographs of a model.

    Args:
        folder: The model.
        images: Where its photographs are, if not beside it.

    Raises:
        InputError: If one is missing.
    """
    opened = open_model(folder, images)
    missing = [image.name for image in opened.images() if image.name not in opened.frames]
    if missing:
        raise InputError(
            f"{folder}: has no points, and {len(missing)} of its {len(opened.images())} "
            f"photographs, such as {missing[0]}, are not there to find some in; --images names "
            "their folder"
        )
    return [frame.path for frame in opened.frames.values()]


def with_points(
    folder: Path, photographs: Sequence[str], output: Path, progress: Progress
) -> pycolmap.Reconstruction:
    """Find points that a model's photographs show, with its cameras as they are.

    Points are seeded from the network's depth, as in every reconstruction.

    Args:
        folder: The model.
        photographs: The files.
        output: Folder for the run that finds the points.
        progress: Counts its work.
    """
    _logger.info("the model has no points: looking for some in its photographs")
    known = PriorConfig(
        poses=str(folder),
        intrinsics=str(folder),
        rotation_sigma_deg=_HELD,
        position_sigma=_HELD,
    )
    config = ReconstructConfig(ba=False, report=False, prior=known)
    return reconstruct(photographs, output, config, progress=progress).reconstruction()
