"""The demo: render a scene with known cameras, reconstruct its photographs, and compare."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vggt_sfm._log import Progress
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.metrics.pose import auc_exact, relative_pose_errors
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.reconstruct import reconstruct
from vggt_sfm.pipelines.stages import SPARSE
from vggt_sfm.report.page import REPORT_FILE
from vggt_sfm.training.courtyard import RenderedScene, photograph_courtyard

if TYPE_CHECKING:
    import pycolmap


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRow:
    """How well one way of reconstructing recovered the cameras."""

    cameras: str
    registered: int
    images: int
    auc5: float
    """Exact AUC at 5°, percent."""
    auc30: float
    focal_error: float
    """Percent of the true focal length."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """The rows of the demo's table and where the model is."""

    rows: tuple[DemoRow, ...]
    sparse: Path
    report: Path
    status: str

    def table(self) -> str:
        """The rows as text."""
        head = f"{'cameras':<14} registered  AUC@5  AUC@30  focal error  seconds"
        lines = [
            f"{r.cameras:<14} {r.registered:>6}/{r.images:<3} {r.auc5:>6.1f}  {r.auc30:>6.1f}"
            f"  {r.focal_error:>9.2f} %  {r.seconds:>7.1f}"
            for r in self.rows
        ]
        where = [f"model: {self.sparse}", f"report: {self.report}"]
        return "\n".join([head, *lines, self.status, *where])


def run_demo(output: Path, progress: Progress) -> DemoResult:
    """Render, reconstruct and compare.

    Args:
        output: Folder for photographs and results; photographs that are there are kept.
        progress: Where to report long work.
    """
    scene = photograph_courtyard(progress)
    images = output / "images"
    images.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(scene.images):
        path = images / f"view_{number:02d}.png"
        if not path.exists():
            Image.fromarray(pixels).save(path)
    rows = []
    spent = 0.0
    for label, ba in (("feed-forward", False), ("adjusted", True)):
        began = time.perf_counter()
        result = reconstruct(
            images, output / "model", ReconstructConfig(ba=ba, report=ba), progress=progress
        )
        # the second run takes all but the adjustment from the cache
        spent += time.perf_counter() - began
        rows.append(_compare(label, result.reconstruction(), scene, spent))
    return DemoResult(
        rows=tuple(rows),
        sparse=output / "model" / SPARSE,
        report=output / "model" / REPORT_FILE,
        status=result.verdict.words if result.verdict else result.report.line,
    )


def _compare(
    label: str, model: pycolmap.Reconstruction, scene: RenderedScene, seconds: float
) -> DemoRow:
    poses = poses_by_name(model)
    missing = np.full((3, 4), np.nan)
    count = len(scene.images)
    predicted = np.stack([poses.get(f"view_{s:02d}.png", missing) for s in range(count)])
    errors = relative_pose_errors(predicted, scene.cam_from_world, fold_translation=False)
    focal = np.median([camera.mean_focal_length() for camera in model.cameras.values()])
    true_focal = float(scene.intrinsics[0, 0])
    return DemoRow(
        cameras=label,
        registered=len(poses),
        images=count,
        auc5=auc_exact(errors.pose_deg, 5.0),
        auc30=auc_exact(errors.pose_deg, 30.0),
        focal_error=100 * abs(float(focal) / true_focal - 1),
        seconds=seconds,
    )
