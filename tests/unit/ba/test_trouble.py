"""What tells a wrong result, and which images it names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from adjusting import adjusted, seeded
from reported import bundle_report
from scipy.spatial.transform import Rotation
from synthetic import SyntheticScene, disturbed, synthetic_scene

from vggt_sfm.ba.bundle import read_bundle
from vggt_sfm.ba.left_out import resected
from vggt_sfm.ba.report import ImageReport, PairReport
from vggt_sfm.ba.suspects import doubtful_pairs
from vggt_sfm.ba.trouble import trouble
from vggt_sfm.geometry.rigid import compose, rotation_angle_deg


def images(*inliers: int, **others: Any) -> tuple[ImageReport, ...]:
    plain: dict[str, Any] = {"status": "refined", "reason": None, "observations": 100}
    return tuple(
        ImageReport(name=f"{n}.jpg", inliers=count, **{**plain, **others})
        for n, count in enumerate(inliers)
    )


def test_a_good_adjustment_is_no_trouble() -> None:
    assert not trouble(bundle_report(images=images(95, 90, 97))).words


def test_images_that_lose_more_than_the_others_are_named() -> None:
    good, weak, other = images(95, 50, 97)
    weak = replace(weak, status="registered", reason="keeps 50 of 100 observations")
    found = trouble(bundle_report(images=(good, weak, other)))
    assert found.images == ("1.jpg",)
    assert "1.jpg" in found.words


def test_images_that_nothing_ties_are_named_apart() -> None:
    lone = images(0, status="predicted only", observations=0)
    found = trouble(bundle_report(images=(*images(95, 90), replace(lone[0], name="lone.jpg"))))
    assert found.images == found.unconnected == ("lone.jpg",)
    assert "nothing ties lone.jpg" in found.words


def test_few_observations_that_fit_are_trouble_of_all() -> None:
    found = trouble(bundle_report(images=images(75, 74), inlier_ratio_after=0.75))
    assert found.images == ("0.jpg", "1.jpg")
    assert "75%" in found.words


@pytest.mark.parametrize(("before", "told"), [(0.5, True), (0.9, False)])
def test_a_rejection_is_trouble_unless_the_prediction_fits(before: float, told: bool) -> None:
    report = bundle_report(
        status="rejected", reason="no better", images=images(100, 100), inlier_ratio_before=before
    )
    assert bool(trouble(report).words) == told


def test_the_image_of_many_doubtful_pairs_is_named() -> None:
    pairs = tuple(
        PairReport(first="1.jpg", second=name, matches=50, agree=2) for name in ("0.jpg", "2.jpg")
    )
    found = trouble(bundle_report(images=images(90, 90, 90), doubtful_pairs=pairs))
    assert found.images == ("1.jpg",)
    assert "2 pairs of images contradict" in found.words


def repeated() -> SyntheticScene:
    """A scene whose first and last image share 30 more tracks, of things that look alike."""
    exact = synthetic_scene(num_frames=6, num_points=300, pixel_noise=0.2)
    data = disturbed(exact, rotation_deg=1, center=0.05, depth=0.03)
    rng = np.random.default_rng(3)
    count, first = 30, len(data.tracks.xyz)
    track = np.repeat(np.arange(first, first + count), 2)
    frame = np.tile([0, 5], count)
    tracks = replace(
        data.tracks,
        track_index=np.concatenate([data.tracks.track_index, track]),
        frame_index=np.concatenate([data.tracks.frame_index, frame]),
        xy=np.concatenate([data.tracks.xy, rng.uniform([0, 0], [400, 300], (2 * count, 2))]),
        xyz=np.concatenate([data.tracks.xyz, rng.uniform(-1, 1, (count, 3))]),
        color=np.concatenate([data.tracks.color, np.zeros((count, 3), np.uint8)]),
        source=np.concatenate([data.tracks.source, np.zeros(count, np.uint8)]),
    )
    return replace(data, tracks=tracks)


def test_pairs_that_only_look_alike_are_listed_and_kept() -> None:
    data = repeated()
    seed = read_bundle(seeded(data))
    wrong = seed.point_of >= len(seed.xyz) - 30
    (pair,) = doubtful_pairs(_only(seed, wrong), np.zeros(int(wrong.sum()), bool))
    assert (pair.first, pair.second) == ("000.png", "005.png")
    assert (pair.matches, pair.agree) == (30, 0)
    model, report = adjusted(data)
    assert report.status == "refined"
    assert model.num_reg_images() == 6


def _only(bundle: Any, rows: np.ndarray) -> Any:
    return replace(
        bundle,
        point_of=bundle.point_of[rows],
        image_of=bundle.image_of[rows],
        point2d_of=bundle.point2d_of[rows],
        xy=bundle.xy[rows],
    )


def test_a_misplaced_image_comes_back_by_the_points_of_the_others() -> None:
    data = synthetic_scene(num_frames=6, num_points=200, pixel_noise=0.3)
    bundle = read_bundle(seeded(disturbed(data, depth=0.1)))
    poses = bundle.cam_from_world.copy()
    poses[2] = compose(poses[2], np.column_stack([_turn(60), np.ones(3)]))
    found = resected(replace(bundle, cam_from_world=poses), ["002.png"], 0)
    assert rotation_angle_deg(found[2, :, :3] @ data.cam_from_world[2, :, :3].T) < 0.3
    np.testing.assert_allclose(found[0], data.cam_from_world[0], atol=1e-9)


def _turn(degrees: float) -> np.ndarray:
    return np.asarray(Rotation.from_euler("y", degrees, degrees=True).as_matrix())


def test_an_image_without_points_of_others_is_not_placed() -> None:
    bundle = read_bundle(seeded(synthetic_scene(num_frames=2, num_points=100)))
    assert np.isnan(resected(bundle, ["001.png"], 0)[1]).all()
