"""One adjustment of a synthetic problem, compared with the truth."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.benchmarks.synthetic import Problem
from vggt_sfm.geometry.rigid import rotation_angle_deg
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.metrics.pose import auc_exact, relative_pose_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How far a model is from the truth."""

    auc_5: float
    """Exact, percent."""
    auc_30: float
    rotation_deg: float
    """Median over the cameras, after the best common rotation."""
    focal_percent: float
    k1: float
    """Size of the error; of the whole value where the camera model has no distortion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One seed of one case."""

    seed: int
    before: Quality
    after: Quality
    cpu_seconds: float
    status: str
    images_refined: int
    rounds: tuple[str, ...]

    @property
    def gain(self) -> float:
        """Points of exact AUC@5 that the adjustment gained."""
        return self.after.auc_5 - self.before.auc_5


def run_trial(found: Problem, seed: int, seeding: SeedConfig, adjusting: BundleConfig) -> Trial:
    """Seed a model from a prediction and adjust it.

    Args:
        found: What to adjust, and the truth.
        seed: Kept with the result.
        seeding: Options of the seed stage.
        adjusting: Options of the adjust stage.
    """
    start = seed_reconstruction(found.scene, found.predictions, found.tracks, seeding)
    begin = time.process_time()
    adjusted, report = adjust(start, adjusting, SilentProgress())
    seconds = time.process_time() - begin
    return Trial(
        seed=seed,
        before=quality(start, found),
        after=quality(adjusted, found),
        cpu_seconds=round(seconds, 3),
        status=report.status,
        images_refined=report.num_refined,
        rounds=tuple(each.name for each in report.rounds),
    )


def quality(model: pycolmap.Reconstruction, truth: Problem) -> Quality:
    """Compare a model with the truth; an image that it lacks counts as failed."""
    poses = poses_by_name(model)
    missing = np.full((3, 4), np.nan)
    predicted = np.stack([poses.get(f.name, missing) for f in truth.scene.frames])
    errors = relative_pose_errors(predicted, truth.cam_from_world, fold_translation=False).pose_deg
    camera = model.cameras[min(model.cameras)]
    k1 = float(camera.params[3]) if camera.model.name == "SIMPLE_RADIAL" else 0.0
    return Quality(
        auc_5=round(auc_exact(errors, 5), 2),
        auc_30=round(auc_exact(errors, 30), 2),
        rotation_deg=round(aligned_rotation_deg(predicted, truth.cam_from_world), 5),
        focal_percent=round(100 * abs(camera.mean_focal_length() / truth.focal_px - 1), 4),
        k1=round(abs(k1 - truth.k1), 6),
    )


def aligned_rotation_deg(predicted: Float64, truth: Float64) -> float:
    """Return the median rotation error after the best common rotation of the world, degrees.

    Args:
        predicted: (S, 3, 4) cam_from_world; a row with a NaN counts as 180 degrees.
        truth: (S, 3, 4) cam_from_world.
    """
    known = np.isfinite(predicted).all(axis=(1, 2))
    angles = np.full(len(truth), 180.0)
    if known.any():
        a, b = predicted[known, :, :3], truth[known, :, :3]
        u, _, vt = np.linalg.svd(np.einsum("sji,sjk->ik", a, b))
        turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt  # predicted_from_true world
        angles[known] = rotation_angle_deg(np.swapaxes(a @ turn, 1, 2) @ b)
    return float(np.median(angles))
