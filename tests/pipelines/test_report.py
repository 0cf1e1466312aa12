"""What is said of each photograph."""

from __future__ import annotations

from dataclasses import replace

from synthetic import synthetic_scene

from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.pipelines.report import image_outcomes


def test_a_doubtful_image_was_adjusted_and_is_told_from_a_refined_one() -> None:
    data = synthetic_scene(num_frames=4, num_points=60)
    seed = seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig())
    model, bundle = adjust(seed, BundleConfig(), SilentProgress())
    assert [image.status for image in bundle.images] == ["refined"] * 4
    images = (*bundle.images[:3], replace(bundle.images[3], status="doubtful", inliers=7))
    outcomes = image_outcomes(
        model, data.scene, data.predictions, replace(bundle, images=images), None
    )
    assert [outcome.status for outcome in outcomes] == ["refined"] * 3 + ["doubtful"]
    assert [outcome.reason for outcome in outcomes[:3]] == [None] * 3
    assert str(outcomes[3].reason).startswith(f"keeps 7 of {images[3].observations} observations")
