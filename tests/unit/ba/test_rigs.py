"""Cameras of a rig stay together, where their images agree with that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from adjusting import auc5, poses, seeded
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from stereo import (
    IN_METRES,
    LEFT,
    MOMENTS,
    RIGHT,
    RIGHT_FROM_LEFT,
    in_metres,
    stereo_rig,
    stereo_scene,
)
from synthetic import SyntheticScene, disturbed, orbit, synthetic_scene, with_frames

from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.ba.knowledge import Knowledge, KnownPose, KnownRig, KnownSensor, plain_pose
from vggt_sfm.ba.report import BundleReport
from vggt_sfm.ba.rigs import Rigs
from vggt_sfm.ba.trouble import trouble
from vggt_sfm.geometry.rigid import compose, invert, rotation_angle_deg
from vggt_sfm.io.colmap import poses_by_name, read_sparse, write_sparse
from vggt_sfm.io.rigs import has_rigs, without_rigs

Float64 = NDArray[np.float64]
SAME = 1e-9  # rounding of poses of size 5
TRUTH = stereo_scene(num_points=60, pixel_noise=0.5)
ROUGH = disturbed(TRUTH, rotation_deg=4, center=0.2, focal=1.1, depth=0.1)


def adjusted(data: SyntheticScene, *rigs: KnownRig) -> tuple[pycolmap.Reconstruction, BundleReport]:
    return adjust(seeded(data), BundleConfig(), SilentProgress(), Knowledge(rigs=rigs))


def relative(model: pycolmap.Reconstruction) -> Float64:
    """(6, 3, 4) pose of the right camera beside the left one at each moment."""
    found = poses(model)
    return compose(found[MOMENTS:], invert(found[:MOMENTS]))


def spread(relative_poses: Float64) -> float:
    return float(np.abs(relative_poses - relative_poses[0]).max())


def off_deg(pose: Float64) -> float:
    return float(rotation_angle_deg(pose[:, :3] @ RIGHT_FROM_LEFT[:, :3].T))


def test_unknown_cameras_of_a_rig_are_found_and_held() -> None:
    free, plain = adjusted(ROUGH)
    held, report = adjusted(ROUGH, stereo_rig())
    assert (plain.rig, report.rig) == ("", "held: 2 cameras at 6 moments")
    assert report.num_refined == 12
    assert spread(relative(free)) > 1e-3
    assert spread(relative(held)) < SAME
    assert auc5(poses(held), TRUTH) > auc5(poses(free), TRUTH)
    assert off_deg(relative(held)[0]) < off_deg(relative(free)[0]) < 1
    assert abs(1 - np.linalg.norm(relative(held)[0, :, 3]) / 0.5) < 0.2


def test_given_cameras_stay_as_given_up_to_one_scale() -> None:
    held, report = adjusted(ROUGH, stereo_rig(in_metres()))
    assert report.rig.startswith("held")
    found = relative(held)
    assert spread(found) < SAME
    np.testing.assert_allclose(found[0, :, :3], RIGHT_FROM_LEFT[:, :3], atol=SAME)
    scale = np.linalg.norm(found[0, :, 3]) / np.linalg.norm(in_metres()[:, 3])
    np.testing.assert_allclose(found[0, :, 3], scale * in_metres()[:, 3], atol=SAME)
    assert scale == pytest.approx(1 / IN_METRES, rel=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        stereo_rig(pairs=[3, 5, 1, 0, 2, 4]),
        stereo_rig(compose(RIGHT_FROM_LEFT, invert(RIGHT_FROM_LEFT))),
        stereo_rig(invert(in_metres())),
    ],
)
def test_a_rig_that_the_images_contradict_is_given_up(wrong: KnownRig) -> None:
    free, _ = adjusted(ROUGH)
    model, report = adjusted(ROUGH, wrong)
    assert report.status == "refined"
    assert report.rig.startswith("not held: ")
    assert not has_rigs(model)
    assert auc5(poses(model), TRUTH) == pytest.approx(auc5(poses(free), TRUTH), abs=1)


def test_a_written_model_has_real_rigs(tmp_path: Path) -> None:
    start = seeded(ROUGH)
    model, _ = adjusted(ROUGH, stereo_rig())
    write_sparse(tmp_path, model)
    back = read_sparse(tmp_path)
    for one in (model, back):
        assert [one.num_rigs(), one.num_frames(), one.num_cameras()] == [1, 6, 2]
        assert [len(list(frame.image_ids)) for frame in one.frames.values()] == [2] * 6
        assert {i: image.name for i, image in one.images.items()} == {
            i: image.name for i, image in start.images.items()
        }
        assert set(one.points3D) <= set(start.points3D)
    np.testing.assert_allclose(poses(back), poses(model), rtol=0, atol=SAME)
    alone = without_rigs(model)
    np.testing.assert_allclose(poses(alone), poses(model), rtol=0, atol=SAME)
    error = model.compute_mean_reprojection_error()
    assert alone.compute_mean_reprojection_error() == pytest.approx(error, rel=1e-6)
    for point_id, point in model.points3D.items():
        seen = {(e.image_id, e.point2D_idx) for e in point.track.elements}
        assert seen <= {
            (e.image_id, e.point2D_idx) for e in start.points3D[point_id].track.elements
        }
        np.testing.assert_array_equal(point.color, start.points3D[point_id].color)


def test_a_moment_need_not_have_an_image_of_each_camera() -> None:
    rig = stereo_rig()
    fewer = replace(
        rig,
        moments=(
            *rig.moments[:3],
            (LEFT[3], None),
            (None, RIGHT[3]),
            (None, RIGHT[4]),
            (LEFT[4], "not/there.png"),
            rig.moments[5],
        ),
    )
    model, report = adjusted(ROUGH, fewer)
    assert report.rig == "held: 2 cameras at 8 moments"
    assert [model.num_rigs(), model.num_frames(), model.num_images()] == [1, 8, 12]
    found = relative(model)
    assert spread(found[[0, 1, 2, 5]]) < SAME
    assert spread(found[[0, 3]]) > 1e-4
    assert auc5(poses(model), TRUTH) > 80


def test_an_image_without_tracks_stands_where_its_rig_does() -> None:
    lost = len(LEFT) + 2
    seen = ROUGH.tracks.frame_index != lost
    tracks = replace(
        ROUGH.tracks,
        track_index=ROUGH.tracks.track_index[seen],
        frame_index=ROUGH.tracks.frame_index[seen],
        xy=ROUGH.tracks.xy[seen],
    )
    blank = replace(ROUGH, tracks=tracks)
    free, _ = adjusted(blank)
    model, report = adjusted(blank, stereo_rig())
    assert spread(relative(model)) < SAME
    assert auc5(poses(model), TRUTH) > auc5(poses(free), TRUTH) + 5
    (image,) = (image for image in report.images if image.name == RIGHT[2])
    assert (image.status, image.reason) == (
        "registered",
        "placed by its rig alone: it keeps none of 0 observations",
    )
    assert RIGHT[2] not in trouble(report).images


def test_a_pose_that_is_held_stays_with_a_rig() -> None:
    poses_of = dict(zip(LEFT + RIGHT, TRUTH.cam_from_world, strict=True))
    held = {
        name: KnownPose(
            cam_from_world=plain_pose(poses_of[name]), rotation_sigma_rad=0.0, position_sigma=0.0
        )
        for name in (LEFT[0], LEFT[5], RIGHT[3])
    }
    knowledge = Knowledge(poses=held, rigs=(stereo_rig(RIGHT_FROM_LEFT),))
    near = disturbed(TRUTH, rotation_deg=1, center=0.02)
    start = seeded(near)
    for name, known in held.items():
        start.find_image_with_name(name).frame.rig_from_world = pycolmap.Rigid3d(known.matrix)
    model, report = adjust(start, BundleConfig(), SilentProgress(), knowledge)
    assert report.rig.startswith("held")
    found = poses_by_name(model)
    for name in (LEFT[0], LEFT[5], RIGHT[3]):
        np.testing.assert_allclose(found[name], held[name].matrix, rtol=0, atol=1e-6)
    assert spread(relative(model)) < SAME


def test_what_colmap_cannot_write_as_a_rig_is_not_held() -> None:
    one_camera = with_frames(ROUGH, camera_key=["same"] * 12)
    _, report = adjusted(one_camera, stereo_rig())
    assert report.rig == "not held: images of left/ share intrinsics with others"
    every = with_frames(ROUGH, camera_key=[str(s) for s in range(12)])
    _, report = adjusted(every, stereo_rig())
    assert report.rig == "not held: images of left/ have several intrinsics"
    apart = tuple((left, None) for left in LEFT) + tuple((None, right) for right in RIGHT)
    _, report = adjusted(ROUGH, replace(stereo_rig(), moments=apart))
    assert report.rig == "not held: no moment has adjusted images of right/ and of another camera"


def test_images_of_a_moment_follow_the_one_of_highest_rank() -> None:
    """Two rigs; an image of none; the last rig's reference took nothing at the last moment."""
    rng = np.random.default_rng(0)
    turn = Rotation.random(5, random_state=0).as_matrix()
    fixed = np.concatenate([turn, rng.normal(size=(5, 3, 1))], axis=2)
    fixed[[0, 2]] = np.eye(3, 4)
    rigs = Rigs(
        rig_of=np.array([0, 0, 1, 1, 1]),
        camera_of=np.arange(5),
        sensor_from_rig=fixed,
        held=np.ones(5, bool),
        sensor_of=np.array([1, 0, -1, 2, 4, 4, 3]),
        moment_of=np.array([0, 0, -1, 1, 1, 2, 2]),
    )
    start = np.concatenate(
        [Rotation.random(7, random_state=1).as_matrix(), rng.normal(size=(7, 3, 1))], axis=2
    )
    start[5] = np.nan
    found = rigs.held_together(start, np.array([0, 0, 0, 0, 1, 1, 0.0]))
    stays = [1, 2, 4, 6]  # the reference, none, of higher rank, finite
    np.testing.assert_array_equal(found[stays], start[stays])
    for s, t in ((0, 1), (3, 4), (5, 6)):
        ours = compose(found[s], invert(found[t]))
        k, j = rigs.sensor_of[[s, t]]
        np.testing.assert_allclose(ours, compose(fixed[k], invert(fixed[j])), atol=1e-12)
    assert rigs.references.tolist() == [True, False, True, False, False]
    assert rigs.leads.tolist() == [False, True, True, True, False, False, False]
    assert rigs.shared(np.array([False] * 5 + [True, False])).tolist() == [False] * 5 + [True] * 2


def test_of_three_cameras_one_is_known_and_one_found_without_the_reference() -> None:
    fixed = np.stack([np.eye(3, 4), RIGHT_FROM_LEFT, compose(RIGHT_FROM_LEFT, RIGHT_FROM_LEFT)])
    rig_from_world = orbit(4, 60)
    data = synthetic_scene(
        num_frames=12,
        num_points=60,
        pixel_noise=0.5,
        poses=np.concatenate([compose(pose, rig_from_world) for pose in fixed]),
    )
    names = [f"{side}{n}" for side in "abc" for n in range(4)]
    data = with_frames(data, name=names, camera_key=[name[0] for name in names])
    rig = KnownRig(
        sensors=(
            KnownSensor(name="a"),
            KnownSensor(name="b", cam_from_rig=plain_pose(in_metres())),
            KnownSensor(name="c"),
        ),
        # the reference is not there when the last one is
        moments=(
            *((f"a{n}", f"b{n}", None) for n in (0, 1)),
            *((None, f"b{n}", f"c{n}") for n in (2, 3)),
            *((name, None, None) for name in ("a2", "a3")),
            *((None, None, name) for name in ("c0", "c1")),
        ),
    )
    model, report = adjusted(disturbed(data, rotation_deg=3, center=0.1, depth=0.1), rig)
    assert report.rig == "held: 3 cameras at 8 moments"
    found = poses(model).reshape(3, 4, 3, 4)
    for one, other, moments in ((1, 0, [0, 1]), (2, 1, [2, 3])):
        pair = compose(found[one, moments], invert(found[other, moments]))
        assert spread(pair) < SAME
        assert off_deg(pair[0]) < (SAME if one == 1 else 0.5)
    assert [model.num_rigs(), model.num_frames()] == [1, 8]


def test_a_camera_that_is_turned_otherwise_than_said_is_noticed() -> None:
    """Tracks alone do not: focal lengths and the baseline make up for it."""
    turn = Rotation.from_euler("y", 4, degrees=True).as_matrix()
    wrong = np.column_stack([turn @ RIGHT_FROM_LEFT[:, :3], RIGHT_FROM_LEFT[:, 3]])
    _, report = adjusted(ROUGH, stereo_rig(wrong))
    assert report.rig.startswith("not held: right/ is turned by ")
