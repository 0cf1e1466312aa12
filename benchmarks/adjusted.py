"""Predicted cameras after the product's tracks and bundle adjustment, in memory."""

from __future__ import annotations

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.ba.seed import drop_points_behind_cameras, seed_reconstruction
from vggt_sfm.benchmarks.embedded_parts import Photographs
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.pipelines.stages import run_track
from vggt_sfm.scene import Predictions, Scene
from vggt_sfm.tracking.config import TrackConfig


def adjusted_model(
    scene: Scene, predictions: Predictions, threads: int = 1
) -> pycolmap.Reconstruction:
    """Return the model that the adjustment of a prediction gives, without a rescue."""
    progress = SilentProgress()
    tracks = run_track(
        TrackConfig(threads=threads),
        scene=scene,
        predictions=predictions,
        database=None,
        progress=progress,
    )
    seed = seed_reconstruction(scene, predictions, tracks, SeedConfig())
    model, report = adjust(seed, BundleConfig(threads=threads), progress)
    return model if report.status == "refined" else drop_points_behind_cameras(seed)


def model_poses(model: pycolmap.Reconstruction, scene: Scene) -> Float64:
    """Return the (S, 3, 4) cam_from_world of a scene's frames, NaN where the model has none."""
    poses, missing = poses_by_name(model), np.full((3, 4), np.nan)
    return np.stack([poses.get(frame.name, missing) for frame in scene.frames])


def point_depth_ratios(model: pycolmap.Reconstruction, found: Photographs) -> Float64:
    """Compare the depths of a model's points with the truth where photographs observe them.

    Returns:
        (n,) model's over true depth, any scale; observations without a true depth are left out.
    """
    by_name = {image.name: image for image in model.images.values() if image.has_pose}
    ratios = [np.empty(0)]
    for s, frame in enumerate(found.scene.frames):
        image, truth = by_name.get(frame.name), found.depth(s)
        if image is None or truth is None:
            continue
        points = [point for point in image.points2D if point.has_point3D()]
        xyz = np.array([model.points3D[p.point3D_id].xyz for p in points]).reshape(-1, 3)
        pose = image.cam_from_world().matrix()
        depth = xyz @ pose[2, :3] + pose[2, 3]
        xy = np.array([p.xy for p in points]).reshape(-1, 2)
        column, row = np.clip(xy, 0, np.array(frame.size) - 1).astype(np.int64).T
        known = truth[row, column] > 0
        ratios.append(depth[known] / truth[row, column][known])
    return np.concatenate(ratios)
