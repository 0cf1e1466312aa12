"""Ways to treat intrinsics, said in the same words to our reconstruction and to pycolmap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pycolmap

from vggt_sfm import ReconstructConfig
from vggt_sfm.ba.config import SeedConfig
from vggt_sfm.benchmarks.colmap_run import ColmapOptions
from vggt_sfm.io.plain import from_plain, to_plain


def self_calibrated(config: ReconstructConfig, camera: pycolmap.Camera | None) -> ReconstructConfig:
    """Focal length and distortion by the photographs; the principal point is the centre."""
    return replace(config, adjust=replace(config.adjust, refine_principal_point="no"))


def given(config: ReconstructConfig, camera: pycolmap.Camera) -> ReconstructConfig:
    """Every value as the ground truth has it, and held."""
    seed = {**to_plain(config.seed), "camera_model": camera.model.name}
    seed_config = from_plain(SeedConfig, seed)
    return replace(config, seed=seed_config, prior=replace(config.prior, intrinsics=params(camera)))


def free_principal_point(config: ReconstructConfig, camera: pycolmap.Camera) -> ReconstructConfig:
    """As self-calibrated, and the principal point too where held-out tracks fit better for it."""
    return replace(config, adjust=replace(config.adjust, refine_principal_point="auto"))


Ours = Callable[[ReconstructConfig, pycolmap.Camera], ReconstructConfig]
MODES: dict[str, Ours] = {
    "self-calibrated": self_calibrated,
    "given": given,
    "free principal point": free_principal_point,
}


def colmap_options(mode: str, camera: pycolmap.Camera | None, **others: Any) -> ColmapOptions:
    """Return pycolmap's options of a mode; ``others`` are fields of ``ColmapOptions``."""
    if mode == "given" and camera is not None:
        others |= {"camera_model": camera.model.name, "camera_params": params(camera)}
    return ColmapOptions(**others)


def params(camera: pycolmap.Camera) -> str:
    """Return a camera's parameters as COLMAP's command line takes them."""
    return ",".join(f"{value:.17g}" for value in camera.params)
