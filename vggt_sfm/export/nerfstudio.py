"""A data set for nerfstudio and instant-ngp: photographs, ``transforms.json`` and points."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from vggt_sfm._checks import Float32
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.export.photo_folders import (
    IMAGES,
    MASKS,
    exported_frames,
    have_masks,
    mask_name,
    write_masks,
    write_photos,
)
from vggt_sfm.export.transforms import transforms, turned_points, write_transforms
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.io.photos import exported_name
from vggt_sfm.io.ply import write_points
from vggt_sfm.io.transforms import TRANSFORMS
from vggt_sfm.scene import Frame

POINTS = "sparse_pc.ply"
DEPTH = "depth_png"
_PARTS = ".nerfstudio.tmp"
# What nerfstudio divides 16-bit depth by to get scene units: millimetres where units are metres.
_STEPS_PER_UNIT = 1000
_LARGEST = 65535
# Coarser steps than this, of a usual depth, are worse than none.
_FEWEST_STEPS = 100

_logger = get_logger(__name__)


def export_nerfstudio(opened: OpenedModel, folder: Path, progress: Progress) -> None:
    """Write ``images``, ``masks``, ``depth_png``, the points, and last ``transforms.json``.

    Photographs keep their distortion, which the file describes. All is written beside what was
    there before, and then moved into place, the file last: where it is, all that it names is there.

    Raises:
        InputError: If no photograph is found, or a camera has no words in the format.
    """
    frames = exported_frames(opened)
    files = {frame.name: {"file_path": f"{IMAGES}/{exported_name(frame.name)}"} for frame in frames}
    if have_masks(frames):
        for frame in frames:
            files[frame.name]["mask_path"] = f"{MASKS}/{mask_name(frame)}"
    depths = _depths_in_steps(opened, frames)
    for name in depths:
        files[name]["depth_file_path"] = f"{DEPTH}/{name}.png"
    content = transforms(opened, files, POINTS)  # first: what it objects to, it objects to now
    parts = folder / _PARTS
    shutil.rmtree(parts, ignore_errors=True)
    try:
        write_photos(parts / IMAGES, frames, progress)
        if have_masks(frames):
            write_masks(parts / MASKS, frames, progress)
        for name, steps in depths.items():
            path = parts / DEPTH / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(steps).save(path)
        xyz, rgb = turned_points(opened)
        write_points(parts / POINTS, xyz, rgb, [f"unit {opened.unit}"])
        write_transforms(parts / TRANSFORMS, content)
        _put(parts, folder)
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def _put(parts: Path, folder: Path) -> None:
    """Move what is complete into place; the file that names it all goes first and comes last."""
    (folder / TRANSFORMS).unlink(missing_ok=True)
    for name in (IMAGES, MASKS, DEPTH, POINTS, TRANSFORMS):
        if (folder / name).exists():
            (folder / name).rename(parts / f"old {name}")
        if (parts / name).exists():
            (parts / name).rename(folder / name)


def _depths_in_steps(opened: OpenedModel, frames: Sequence[Frame]) -> dict[str, np.ndarray]:
    """Return depth in thousandths of a unit as 16-bit images: for all photographs, or for none."""
    if not frames or any(frame.name not in opened.depths for frame in frames):
        return {}
    depths = {frame.name: opened.depths[frame.name].of_photo()[0] for frame in frames}
    known = np.concatenate([depth[depth > 0] for depth in depths.values()])
    usual = float(np.median(known)) * _STEPS_PER_UNIT if len(known) else 0.0
    if not _FEWEST_STEPS <= usual <= _LARGEST / 2:
        _logger.warning(
            "no depth for nerfstudio: the usual depth is %.3g scene units, and its files hold "
            "thousandths of a unit up to 65; --distance or --positions set a scale",
            usual / _STEPS_PER_UNIT,
        )
        return {}
    return {name: _in_steps(depth) for name, depth in depths.items()}


def _in_steps(depth: Float32) -> np.ndarray:
    steps = np.round(depth.astype(np.float64) * _STEPS_PER_UNIT)
    return np.where(steps <= _LARGEST, steps, 0).astype(np.uint16)
