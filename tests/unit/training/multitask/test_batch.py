"""Targets and tracks of small scenes, by hand and against the numpy geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from painted import PaintedRoom

from vggt_sfm.geometry.cameras import project, unproject
from vggt_sfm.geometry.rigid import compose, invert
from vggt_sfm.training.multitask.batch import SceneBatch, SceneViews, make_targets, world_points
from vggt_sfm.training.multitask.tracks import make_tracks

CPU = torch.device("cpu")
ROUNDING = 1e-4  # float32 against float64, in units of some metres or some dozen pixels


def two_pixel_scene(depth: tuple[float, float]) -> SceneBatch:
    """Two frames of 1 x 2 pixels, the second 6 to the right; focal length 0.5 px."""
    intrinsics = np.array([[0.5, 0, 1], [0, 0.5, 0.5], [0, 0, 1]])
    pose = np.eye(3, 4)[None].repeat(2, 0)
    pose[1, 0, 3] = -6
    views = SceneViews(
        images=np.zeros((2, 3, 1, 2), np.float32),
        depth=np.array([[depth], [(0, 0)]], np.float32),
        cam_from_world=pose,
        intrinsics=intrinsics[None].repeat(2, 0),
    )
    return SceneBatch.of([views], CPU)


def test_truth_is_in_units_of_the_mean_distance_from_the_first_camera() -> None:
    # pixel centres are half a pixel, or one focal length, beside the axis: (∓1, 0, 1) times depth
    targets = make_targets(two_pixel_scene((1.0, 3.0)))
    mean = (2**0.5 + 3 * 2**0.5) / 2
    assert targets.points[0, 0, 0].tolist() == [
        pytest.approx([-1 / mean, 0, 1 / mean]),
        pytest.approx([3 / mean, 0, 3 / mean]),
    ]
    assert targets.depth[0, 0, 0, :, 0].tolist() == pytest.approx([1 / mean, 3 / mean])
    assert targets.pose_encoding[0, 1].tolist() == pytest.approx(
        [-6 / mean, 0, 0, 0, 0, 0, 1, np.pi / 2, 2 * np.arctan(2)]
    )
    assert targets.valid[0].tolist() == [[[True, True]], [[False, False]]]


def test_pixels_of_unknown_depth_do_not_count() -> None:
    targets = make_targets(two_pixel_scene((2.0, 0.0)))
    mean = 2 * 2**0.5
    assert targets.depth[0, 0, 0, :, 0].tolist() == pytest.approx([2 / mean, 0])
    assert not targets.points[0, 0, 0, 1].any()


def test_a_scene_without_depth_keeps_its_units() -> None:
    targets = make_targets(two_pixel_scene((0.0, 0.0)))
    assert float(targets.pose_encoding[0, 1, 0]) == -6
    assert not targets.valid.any()
    assert bool(torch.isfinite(targets.pose_encoding).all())


def test_scale_and_choice_of_the_world_do_not_matter() -> None:
    views = PaintedRoom(3).views([0, 1, 2])
    elsewhere = compose(views.cam_from_world, np.eye(3, 4) + [[0, 0, 0, 50.0]] * 3)
    elsewhere[..., 3] *= 7
    moved = replace(views, cam_from_world=elsewhere, depth=views.depth * 7)
    before, after = (make_targets(SceneBatch.of([v], CPU)) for v in (views, moved))
    for name in ("pose_encoding", "depth", "points"):
        torch.testing.assert_close(
            getattr(after, name), getattr(before, name), rtol=ROUNDING, atol=ROUNDING
        )


def test_points_agree_with_the_geometry() -> None:
    views = PaintedRoom(2).views([1, 0])
    y, x = np.mgrid[:32, :32] + 0.5
    cam_from_first = compose(views.cam_from_world, invert(views.cam_from_world[:1]))
    for s, points in enumerate(world_points(SceneBatch.of([views], CPU))[0]):
        expected = unproject(
            np.stack([x, y], -1),
            views.depth[s].astype(np.float64),
            views.intrinsics[s],
            cam_from_first[s],
        )
        np.testing.assert_allclose(points.numpy(), expected, atol=ROUNDING)


def test_tracks_agree_with_the_geometry() -> None:
    batch = SceneBatch.of([PaintedRoom(4).views([0, 1, 2, 3])], CPU)
    torch.manual_seed(0)
    tracks = make_tracks(batch, 50)
    pixels = tracks.xy[0, 0] + 0.5
    torch.testing.assert_close(pixels, pixels.floor() + 0.5, rtol=0, atol=ROUNDING)
    column, row = pixels.long().unbind(-1)
    points = world_points(batch)[0, 0, row, column].double().numpy()
    for s in range(4):
        camera = batch.cam_from_world[0, s].double().numpy()
        xy, _ = project(points, camera, batch.intrinsics[0, s].double().numpy())
        np.testing.assert_allclose(tracks.xy[0, s].numpy() + 0.5, xy, atol=32 * ROUNDING)
        inside = ((xy >= 0) & (xy < 32)).all(axis=1)
        np.testing.assert_array_equal(tracks.placed[0, s].numpy(), inside)
    # a room without furniture hides nothing, but its corners fall between pixels
    assert bool(tracks.judged.all())
    assert bool((~tracks.visible | tracks.placed).all())
    assert float((tracks.visible == tracks.placed).float().mean()) > 0.95


def test_what_is_behind_something_is_hidden_and_what_is_unmeasured_is_not_judged() -> None:
    batch = two_pixel_scene((4.0, 4.0))
    same_place = batch.cam_from_world.clone()
    same_place[..., 3] = 0
    depth = batch.depth.clone()
    depth[0, 1, 0] = torch.tensor([1.0, 0.0])  # something in front; nothing measured
    tracks = make_tracks(replace(batch, cam_from_world=same_place, depth=depth), 20)
    left = tracks.xy[0, 0, :, 0] < 0.5
    assert bool(tracks.placed.all())
    assert bool(tracks.visible[0, 0].all())
    assert not tracks.visible[0, 1].any()
    assert tracks.judged[0, 1].tolist() == left.tolist()


def test_points_behind_a_camera_are_not_placed() -> None:
    batch = two_pixel_scene((4.0, 4.0))
    beyond = batch.cam_from_world.clone()
    beyond[0, 1] = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -9]])
    tracks = make_tracks(replace(batch, cam_from_world=beyond), 5)
    assert not tracks.placed[0, 1].any()
    assert bool(tracks.judged[0, 1].all())
    assert bool(torch.isfinite(tracks.xy).all())


def test_a_first_frame_without_depth_has_no_tracks() -> None:
    tracks = make_tracks(two_pixel_scene((0.0, 0.0)), 5)
    assert not (tracks.placed | tracks.visible | tracks.judged).any()
    assert bool(torch.isfinite(tracks.xy).all())


def test_views_must_fit_together() -> None:
    views = PaintedRoom(2).views([0, 1])
    with pytest.raises(ValueError, match=r"SceneViews\.depth"):
        replace(views, depth=views.depth[:1])
