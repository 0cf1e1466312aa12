"""Models and runs for tests of the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pycolmap
from synthetic import SyntheticScene, synthetic_scene

from vggt_sfm.ba.config import SeedConfig
from vggt_sfm.ba.report import BundleReport
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.io.opened import OpenedModel, PhotoDepth
from vggt_sfm.report.facts import ImageFacts, ModelFacts, RunFacts


def seeded(data: SyntheticScene) -> pycolmap.Reconstruction:
    """The model of a synthetic scene, not adjusted."""
    return seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig())


def opened(data: SyntheticScene | None = None) -> OpenedModel:
    """A model without photographs, with depth."""
    data = data or synthetic_scene(pixel_noise=0.5)
    depths = {
        frame.name: PhotoDepth(
            depth=np.asarray(data.predictions.depth[s]),
            confidence=np.asarray(data.predictions.depth_confidence[s]),
            pixel_map=data.scene.pixel_maps[s],
        )
        for s, frame in enumerate(data.scene.frames)
    }
    return OpenedModel(model=seeded(data), depths=depths, before=seeded(data))


def run_facts(**changes: Any) -> RunFacts:
    """A run that went well, but for the changes."""
    plain: dict[str, Any] = {
        "status": "adjusted",
        "line": "adjusted: all is well",
        "ok": True,
        "versions": {"vggt-sfm": "0"},
        "config": {"ba": True},
    }
    return RunFacts(**{**plain, **changes})


def bundle_report(**changes: Any) -> BundleReport:
    """An adjustment that went well, but for the changes."""
    plain: dict[str, Any] = {
        "status": "refined",
        "reason": "",
        "images": (),
        "rounds": (),
        "trials": (),
        "held_out_before_px": 1.0,
        "held_out_after_px": 0.3,
        "inlier_ratio_before": 0.9,
        "inlier_ratio_after": 0.97,
        "mean_reprojection_error_px": 0.4,
        "focal_before_px": 500.0,
        "focal_after_px": 510.0,
        "seconds": 1.0,
    }
    return BundleReport(**{**plain, **changes})


def image_facts(count: int, **changes: Any) -> list[ImageFacts]:
    """Photographs that were adjusted well, but for the changes."""
    plain: dict[str, Any] = {"status": "refined", "observations": 300, "median_error_px": 0.4}
    return [ImageFacts(name=f"{s:03d}.jpg", **{**plain, **changes}) for s in range(count)]


def model_facts(**changes: Any) -> ModelFacts:
    """A good model, but for the changes."""
    plain: dict[str, Any] = {
        "points": 1000,
        "observations": 3000,
        "mean_error_px": 0.5,
        "median_error_px": 0.4,
        "mean_track_length": 3.0,
        "median_angle_deg": 10.0,
        "depth_in_baselines": 1.0,
    }
    return ModelFacts(**{**plain, **changes})
