"""The ways of getting cameras whose novel views are compared, and two known errors as controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from vggt_sfm import ReconstructConfig, VggtSfmError, reconstruct
from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.colmap_run import ColmapOptions, incremental
from vggt_sfm.benchmarks.disturbed import Errors, disturbed_poses
from vggt_sfm.benchmarks.splats.scene import registered
from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import read_sparse, write_sparse

FEED_FORWARD, ADJUSTED, PYCOLMAP = "feed-forward", "+BA", "pycolmap"
TURNED = {"+BA, turned by 0.5°": 0.5, "+BA, turned by 2°": 2.0}  # mean error, degrees
COMPARED = (FEED_FORWARD, ADJUSTED, PYCOLMAP)
WAYS = (*COMPARED, *TURNED)
SCENES = {"fountain-P11": 1, "Herz-Jesus-P8": 1, "7scenes_a": 3}
"""Folder of the data, and that every how manieth photograph is taken."""
_SEED = 0  # of pycolmap and of the turns
FOLDERS = {
    FEED_FORWARD: "feed-forward",
    ADJUSTED: "adjusted",
    PYCOLMAP: "pycolmap",
    "+BA, turned by 0.5°": "turned-0.5",
    "+BA, turned by 2°": "turned-2",
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Cameras:
    """What one way made of a scene."""

    model: pycolmap.Reconstruction
    poses: Mapping[str, Float64] | None
    """(3, 4) cam_from_world by name, instead of those of the model."""


def photographs_of(data: Path, scene: str, every: int, work: Path) -> dict[str, Path]:
    """Link every so manieth photograph of a scene into a folder; return them by name.

    Raises:
        InputError: If there are none.
    """
    found = sorted((data / scene / "images").glob("*.jpg"))[::every]
    if not found:
        raise InputError(f"no photographs in {data / scene / 'images'}")
    folder = work / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for path in found:
        link = folder / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
    return {path.name: folder / path.name for path in found}


def cameras_of(way: str, work: Path) -> Cameras | None:
    """Reconstruct ``work/images`` by one way, or read what it made before.

    Returns:
        None if the way made no model.
    """
    base = ADJUSTED if way in TURNED else way
    folder = work / FOLDERS[base]
    if not folder.is_dir():
        model = _reconstructed(base, work)
        if model is None:
            return None
        write_sparse(folder, model)
    model = read_sparse(folder)
    return Cameras(model=model, poses=_turned(model, TURNED[way]) if way in TURNED else None)


def _reconstructed(way: str, work: Path) -> pycolmap.Reconstruction | None:
    if way == PYCOLMAP:
        model, _ = incremental(work / "images", work / "colmap", ColmapOptions(seed=_SEED))
        return model
    config = ReconstructConfig(ba=way == ADJUSTED)
    try:
        return reconstruct(work / "images", work / "ours", config).reconstruction()
    except VggtSfmError:
        return None


def _turned(model: pycolmap.Reconstruction, degrees: float) -> dict[str, Float64]:
    """Turn every camera about its centre by its own random rotation, of this mean angle."""
    images = registered(model)
    names = sorted(images)
    poses = np.stack([images[name].cam_from_world().matrix() for name in names])
    errors = Errors(rotation_deg=degrees)
    turned = disturbed_poses(poses, errors, np.random.default_rng(_SEED))
    return dict(zip(names, turned, strict=True))
