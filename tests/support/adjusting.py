"""Synthetic scenes that are seeded and adjusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray
from synthetic import SyntheticScene, disturbed, synthetic_scene

from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.bundle import read_bundle
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.ba.report import BundleReport
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.metrics.pose import auc_exact, relative_pose_errors

Float64 = NDArray[np.float64]


def seeded(data: SyntheticScene, **options: Any) -> pycolmap.Reconstruction:
    return seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig(**options))


def adjusted(data: SyntheticScene, **options: Any) -> tuple[pycolmap.Reconstruction, BundleReport]:
    return adjust(seeded(data), BundleConfig(**options), SilentProgress())


def poses(model: pycolmap.Reconstruction) -> Float64:
    return read_bundle(model).cam_from_world


def auc5(cam_from_world: Float64, data: SyntheticScene) -> float:
    return auc_exact(relative_pose_errors(cam_from_world, data.cam_from_world).pose_deg, 5)


def rough(seed: int = 0, **options: Any) -> SyntheticScene:
    """Ten degrees, a fifth of the distance, 30 % of focal length and depth off; 10 % outliers."""
    data = synthetic_scene(
        num_frames=6,
        num_points=200,
        arc_deg=90,
        pixel_noise=0.3,
        outliers=0.1,
        seed=seed,
        **options,
    )
    return disturbed(data, rotation_deg=10, center=0.5, focal=1.3, depth=0.3, seed=seed)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
