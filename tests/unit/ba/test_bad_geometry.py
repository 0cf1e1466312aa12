"""Bundle adjustment of bad geometry, interrupted, and out of time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from adjusting import adjusted, auc5, content, poses, rough, seeded
from numpy.typing import NDArray
from synthetic import SyntheticScene, disturbed, synthetic_scene, with_frames

from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.io.colmap import write_sparse


def without_tracks(data: SyntheticScene, keep: NDArray[np.bool_]) -> SyntheticScene:
    """The scene with some observations only."""
    tracks = data.tracks
    return replace(
        data,
        tracks=replace(
            tracks,
            track_index=tracks.track_index[keep],
            frame_index=tracks.frame_index[keep],
            xy=tracks.xy[keep],
        ),
    )


@pytest.mark.parametrize(
    ("num_frames", "observed", "reason"),
    [
        (1, True, "one image"),
        (2, False, "no track is seen by two usable images"),
        (5, False, "no track is seen by two usable images"),
    ],
)
def test_nothing_to_adjust_is_skipped(num_frames: int, observed: bool, reason: str) -> None:
    data = synthetic_scene(num_frames=num_frames)
    keep = np.full(len(data.tracks.xy), observed)
    result, report = adjusted(without_tracks(data, keep))
    assert (report.status, report.reason) == ("skipped", reason)
    assert result.num_reg_images() == num_frames
    assert report.mean_reprojection_error_px is None
    assert {image.status for image in report.images} == {"predicted only"}


def test_no_image_at_all_is_skipped() -> None:
    _, report = adjust(pycolmap.Reconstruction(), BundleConfig(), SilentProgress())
    assert report.status == "skipped"
    assert report.focal_before_px is None


def test_a_skipped_model_comes_back_exactly(tmp_path: Path) -> None:
    data = rough()
    rows = (data.tracks.track_index < 5) & (data.tracks.frame_index < 2)
    seed = seeded(without_tracks(data, rows))
    assert 0 < seed.num_points3D() < 8
    result, report = adjust(seed, BundleConfig(), SilentProgress())
    assert report.reason == "no two images share enough tracks"
    write_sparse(tmp_path / "seed", seed)
    write_sparse(tmp_path / "result", result)
    assert content(tmp_path / "seed") == content(tmp_path / "result")


def test_only_the_largest_component_is_adjusted() -> None:
    data = rough()
    first = np.isin(data.tracks.frame_index, [0, 1, 2, 3])
    data = without_tracks(data, first == (data.tracks.track_index < 120))
    seed = seeded(data)
    result, report = adjust(seed, BundleConfig(), SilentProgress())
    assert [image.status for image in report.images] == ["refined"] * 4 + ["predicted only"] * 2
    assert auc5(poses(result)[:4], replace(data, cam_from_world=data.cam_from_world[:4])) > 90
    np.testing.assert_allclose(poses(result)[4:], poses(seed)[4:], atol=1e-12)
    assert result.image(5).num_points3D == 0
    assert report.images[4].observations > 0
    assert report.images[4].inliers == 0
    assert report.images[4].reason == "its tracks do not reach the other images"


def test_an_image_without_observations_keeps_its_pose() -> None:
    data = rough()
    seed = seeded(without_tracks(data, data.tracks.frame_index != 2))
    result, report = adjust(seed, BundleConfig(), SilentProgress())
    assert [image.status for image in report.images].count("predicted only") == 1
    assert report.images[2].status == "predicted only"
    np.testing.assert_allclose(poses(result)[2], poses(seed)[2], atol=1e-12)


def test_an_image_whose_matches_are_all_wrong_does_not_spoil_the_others() -> None:
    data = rough()
    xy = data.tracks.xy.copy()
    wrong = data.tracks.frame_index == 3
    xy[wrong] = np.random.default_rng(1).uniform([0, 0], [400, 300], (int(wrong.sum()), 2))
    result, report = adjusted(replace(data, tracks=replace(data.tracks, xy=xy)))
    assert report.status == "refined"
    assert report.images[3].status in ("registered", "rejected")
    others = [0, 1, 2, 4, 5]
    truth = replace(data, cam_from_world=data.cam_from_world[others])
    assert auc5(poses(result)[others], truth) > 90


def test_points_behind_a_camera_are_dropped_or_brought_in_front() -> None:
    data = rough()
    xyz = data.tracks.xyz.copy()
    xyz[::4] = [0, 0, -40]
    result, report = adjusted(replace(data, tracks=replace(data.tracks, xyz=xyz)))
    assert report.status == "refined"
    assert auc5(poses(result), data) > 90
    for image in result.images.values():
        for point in image.get_observation_points2D():
            xyz_in_camera = image.cam_from_world() * result.point3D(point.point3D_id).xyz
            assert xyz_in_camera[2] > 0


def test_images_with_an_impossible_camera_are_left_out() -> None:
    seed = seeded(with_frames(rough(), camera_key=[""] * 6))
    seed.camera(2).params = [0.0, 200, 150]
    seed.camera(5).params = [np.nan, 200, 150]
    _, report = adjust(seed, BundleConfig(), SilentProgress())
    assert [image.status == "rejected" for image in report.images] == [
        False, True, False, False, True, False,
    ]  # fmt: skip
    assert report.status == "refined"


def test_noise_is_rejected_and_the_seed_comes_back() -> None:
    data = rough()
    rng = np.random.default_rng(0)
    xy = rng.uniform([0, 0], [400, 300], data.tracks.xy.shape)
    seed = seeded(replace(data, tracks=replace(data.tracks, xy=xy)))
    result, report = adjust(seed, BundleConfig(), SilentProgress())
    assert report.status == "rejected"
    assert "of the observations" in report.reason or "two images" in report.reason
    assert report.rounds
    np.testing.assert_array_equal(poses(result), poses(seed))
    assert result.num_points3D() == seed.num_points3D()


def test_all_cameras_in_one_place_do_not_fail() -> None:
    data = rough()
    same = np.tile(data.predictions.cam_from_world[:1], (6, 1, 1))
    data = replace(data, predictions=replace(data.predictions, cam_from_world=same))
    result, report = adjusted(data)
    assert report.status in ("refined", "rejected")
    assert np.isfinite(poses(result)).all()


def test_the_pose_prior_protects_a_good_prediction_from_bad_tracks() -> None:
    """Paired over 8 scenes with 25 bad tracks each."""
    scores: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(8):
        data = synthetic_scene(
            num_frames=8, num_points=25, arc_deg=80, pixel_noise=2.5, outliers=0.05, seed=seed
        )
        data = disturbed(data, rotation_deg=0.2, center=0.01, depth=0.01, seed=seed)
        for prior, found in scores.items():
            found.append(auc5(poses(adjusted(data, pose_prior=prior)[0]), data))
    assert np.mean(scores[True]) > np.mean(scores[False]) + 2


class _Interrupting:
    """A progress that stops the run after some iterations, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.left = after

    @contextmanager
    def task(self, name: str, total: int | None) -> Iterator[_Interrupting]:
        yield self

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise KeyboardInterrupt


def test_an_interrupt_ends_the_run_and_leaves_the_input_alone(tmp_path: Path) -> None:
    seed = seeded(rough())
    write_sparse(tmp_path / "before", seed)
    with pytest.raises(KeyboardInterrupt):
        adjust(seed, BundleConfig(), _Interrupting(7))
    write_sparse(tmp_path / "after", seed)
    assert content(tmp_path / "before") == content(tmp_path / "after")


def test_no_time_at_all() -> None:
    _, report = adjusted(rough(), max_seconds=1e-9)
    assert (report.status, report.rounds) == ("skipped", ())
    assert "time" in report.reason


@pytest.mark.parametrize(
    "wrong",
    [{"loss_px": 0.0}, {"threads": -1}, {"max_seconds": 0.0}, {"min_observations": 1}],
)
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="BundleConfig"):
        BundleConfig(**wrong)
