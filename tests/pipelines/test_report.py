"""What is said of each photograph."""

from __future__ import annotations

from dataclasses import replace

from synthetic import disturbed, synthetic_scene

from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.pipelines.report import image_outcomes


def test_statuses_and_uncertainties_of_the_adjustment_are_passed_on() -> None:
    data = synthetic_scene(num_frames=4, num_points=60, pixel_noise=0.3)
    data = disturbed(data, rotation_deg=1, center=0.05)
    seed = seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig())
    model, bundle = adjust(seed, BundleConfig(), SilentProgress())
    assert [image.status for image in bundle.images] == ["refined"] * 4
    images = (
        *bundle.images[:3],
        replace(bundle.images[3], status="rejected", reason="it contradicts", inliers=0),
    )
    outcomes = image_outcomes(
        model, data.scene, data.predictions, replace(bundle, images=images), None
    )
    assert [outcome.status for outcome in outcomes] == ["refined"] * 3 + ["rejected"]
    assert [outcome.reason for outcome in outcomes] == [None] * 3 + ["it contradicts"]
    sigmas = [outcome.rotation_sigma_deg for outcome in outcomes]
    assert sigmas[0] is None  # the others are relative to it
    assert all(0 < (sigma or 0) < 1 for sigma in sigmas[1:])


def test_without_an_adjustment_images_with_tracks_are_registered() -> None:
    data = synthetic_scene(num_frames=3, num_points=60)
    model = seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig())
    outcomes = image_outcomes(model, data.scene, data.predictions, None, "it is off")
    assert [(o.status, o.reason) for o in outcomes] == [("registered", "it is off")] * 3
