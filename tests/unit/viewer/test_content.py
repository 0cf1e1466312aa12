"""What the viewer shows, before it is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from viewed import incomplete, opened_room

from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.io.thumbnails import depth_picture
from vggt_sfm.viewer.cameras import up_direction
from vggt_sfm.viewer.content import Content, content
from vggt_sfm.viewer.pictures import overlay
from vggt_sfm.viewer.points import chosen, lift, ranks, shares, usable_pixels
from vggt_sfm.viewer.texts import camera_facts, facts_table, overview, shown_of

REPROJECTION_PX = 0.01  # pycolmap undoes distortion by iterating


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedModel:
    return opened_room(tmp_path_factory.mktemp("photos"), lens=True)


def test_lifted_pixels_fall_back_where_they_came_from(opened: OpenedModel) -> None:
    for image in opened.images():
        depth = opened.depths[image.name]
        flat = usable_pixels(depth)
        xy, xyz = lift(opened.model, image, depth, flat)
        in_camera = xyz @ image.cam_from_world().matrix()[:, :3].T
        in_camera += image.cam_from_world().matrix()[:, 3]
        np.testing.assert_allclose(in_camera[:, 2], depth.depth.ravel()[flat], rtol=1e-6)
        back = opened.model.cameras[image.camera_id].img_from_cam(in_camera)
        np.testing.assert_allclose(back, xy, atol=REPROJECTION_PX, rtol=0)
        # Network pixel (4, 3) is the first after the padding; its centre is at (1, 1).
        row, column = np.unravel_index(flat, depth.depth.shape)
        np.testing.assert_allclose(xy, np.stack([2 * column - 7, 2 * row - 5], 1), atol=1e-9)
        assert ((xy > 0) & (xy < image.camera.width)).all()


def test_dense_points_lie_on_the_walls_in_the_colours_of_the_photographs(tmp_path: Path) -> None:
    opened = opened_room(tmp_path)
    dense = content(opened).dense
    distances = np.abs(dense.xyz - [-3, 1.5, 6]).min(axis=1)
    assert distances.max() < 1e-5
    photo = np.asarray(pycolmap.Bitmap.read(tmp_path / "b.png", True).to_array())
    image = opened.images()[1]
    depth = opened.depths["b.png"]
    xy, xyz = lift(opened.model, image, depth, usable_pixels(depth))
    mine = np.flatnonzero((np.abs(dense.xyz - xyz[1234]) < 1e-9).all(axis=1))
    column, row = np.floor(xy[1234]).astype(int)
    assert (dense.rgb[mine] == photo[row, column]).all()


def test_pixels_across_an_edge_of_the_depth_are_left_out(opened: OpenedModel) -> None:
    depth = opened.depths["b.png"]
    stepped = depth.depth.copy()
    stepped[:, 80:] *= 2
    stepped[10, 20] = 0
    stepped[50, 30] = np.nan
    row, column = np.unravel_index(usable_pixels(replace(depth, depth=stepped)), depth.depth.shape)
    assert not set(column) & {79, 80}
    assert {78, 81} <= set(column)
    assert column.min() == 4
    assert row.min() == 3
    assert not ((row == 10) & (column == 20)).any()


def test_cap_is_kept_and_the_choice_is_the_same_again(opened: OpenedModel) -> None:
    first, second = content(opened, 5000), content(opened, 5000)
    counts = [len(each.xyz) for each in (first.sparse, first.before, first.dense)]
    assert 4900 < sum(counts) <= 5000
    assert counts[0] == first.sparse.total == opened.model.num_points3D()
    assert first.dense.total > 50_000
    for one, other in ((first.sparse, second.sparse), (first.dense, second.dense)):
        np.testing.assert_array_equal(one.xyz, other.xyz)
        np.testing.assert_array_equal(one.rgb, other.rgb)
    few = content(opened, 60)
    assert len(few.sparse.xyz) == len(few.sparse.track_length) == len(few.sparse.error_px) == 20
    assert few.sparse.total == counts[0]
    everything = content(opened)
    assert len(everything.dense.xyz) == everything.dense.total


def test_shares_keep_small_sets_whole() -> None:
    assert shares([10, 1000, 500], 400) == [10, 195, 195]
    assert shares([0, 0, 5], 3) == [0, 0, 3]
    assert shares([7, 8, 9], 1000) == [7, 8, 9]
    rows = chosen(1000, 100, seed=3)
    assert len(set(rows)) == 100
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(chosen(5, 10, seed=0), np.arange(5))


def test_percentiles_are_of_the_order_and_never_cut_through_equals(opened: OpenedModel) -> None:
    np.testing.assert_array_equal(ranks(np.array([3.0, 1.0, 2.0, 2.0])), [1.0, 0.25, 0.75, 0.75])
    assert ranks(np.zeros(0)).shape == (0,)
    np.testing.assert_array_equal(ranks(np.ones(4)), 1.0)
    rank = content(opened).dense.rank
    for percentile in (10, 50, 90):
        share = (rank >= percentile / 100).mean()
        assert abs(share - (1 - percentile / 100)) < 0.02  # columns are equally sure
    scaled = {
        name: replace(depth, confidence=depth.confidence**3)
        for name, depth in opened.depths.items()
    }
    np.testing.assert_array_equal(content(replace(opened, depths=scaled)).dense.rank, rank)


def test_cameras_stand_and_look_as_in_the_model(opened: OpenedModel) -> None:
    shown = content(opened)
    assert [camera.name for camera in shown.cameras] == ["a.png", "b.png", "c.png"]
    for camera, image in zip(shown.cameras, opened.images(), strict=True):
        np.testing.assert_allclose(camera.center, image.projection_center(), atol=1e-12)
        np.testing.assert_allclose(camera.forward, image.viewing_direction(), atol=1e-12)
        assert camera.num_points == image.num_points3D > 100
        assert camera.mean_error_px < 1e-6
        assert camera.fov_y_rad == pytest.approx(2 * np.arctan(120 / 285))
        assert camera.aspect == pytest.approx((320 / 290) / (240 / 285))
    np.testing.assert_allclose(shown.up, [0, -1, 0], atol=0.01)
    assert len(shown.cameras_before) == 3
    view = shown.view
    assert (view.look_at - view.position) @ shown.cameras[0].forward > 0
    assert (shown.cameras[0].center - view.position) @ shown.cameras[0].forward > 0
    assert view.near < shown.distance < view.far
    np.testing.assert_array_equal(up_direction(list(shown.cameras), True), [0, 0, 1])


def test_view_on_a_map_is_never_along_what_is_up(opened: OpenedModel) -> None:
    model = pycolmap.Reconstruction(opened.model)
    down = pycolmap.Rotation3d(np.array([1.0, 0, 0, 0]))  # z of the cameras to -z of the world
    model.transform(pycolmap.Sim3d(1, down, np.zeros(3)))
    view = content(replace(opened, model=model, before=None, georeferenced=True)).view
    ahead = (view.look_at - view.position) / np.linalg.norm(view.look_at - view.position)
    np.testing.assert_array_equal(view.up, [0, 0, 1])
    assert -0.95 < ahead @ view.up < -0.3


def test_errors_are_measured_though_the_file_says_nothing(opened: OpenedModel) -> None:
    model = pycolmap.Reconstruction(opened.model)
    image = model.images[1]
    pose = image.cam_from_world()
    moved = pose.translation + np.array([0.05, 0, 0])
    image.frame.rig_from_world = pycolmap.Rigid3d(pose.rotation, moved)
    shown = content(replace(opened, model=model))
    assert shown.cameras[0].mean_error_px > 1
    assert shown.cameras[1].mean_error_px < 1e-6
    model.update_point_3d_errors()
    kept = [point.error for _, point in sorted(model.points3D.items())]
    np.testing.assert_allclose(shown.sparse.error_px, kept, atol=1e-9)


def test_scene_at_map_coordinates_is_moved_to_where_numbers_are_fine(opened: OpenedModel) -> None:
    model = pycolmap.Reconstruction(opened.model)
    shift = np.array([4e5, 5e6, 100])
    model.transform(pycolmap.Sim3d(1, pycolmap.Rotation3d(), shift))
    here, there = content(opened), content(replace(opened, model=model, before=None))
    np.testing.assert_array_equal(here.origin, 0)
    assert np.abs(there.sparse.xyz).max() < 20
    np.testing.assert_allclose(there.sparse.xyz + there.origin, here.sparse.xyz + shift)
    assert there.distance == pytest.approx(here.distance)


def test_any_part_may_be_missing(opened: OpenedModel) -> None:
    for name, each in incomplete(opened).items():
        shown: Content = content(each)
        assert np.isfinite(shown.view.position).all(), name
        assert np.isfinite(shown.view.look_at).all(), name
        assert shown.distance > 0, name
        assert len(shown.dense.xyz) == len(shown.dense.rgb) == len(shown.dense.rank), name
        assert facts_table(overview(shown)), name
    grey = content(incomplete(opened)["no photographs"])
    assert not grey.thumbnails
    assert (grey.dense.rgb == grey.dense.rgb[0]).all()


def test_photograph_that_broke_since_is_shown_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = opened_room(tmp_path)
    (tmp_path / "b.png").write_bytes(b"no image")
    assert set(content(opened).thumbnails) == {"a.png", "c.png"}
    assert "b.png is shown without its photograph" in caplog.text


def test_names_may_hold_anything(tmp_path: Path) -> None:
    name = "Brücke <b>&amp; 橋.png"
    opened = opened_room(tmp_path, (f"außen/{name}", "z.png"))
    shown = content(opened)
    assert set(shown.thumbnails) == {f"außen/{name}", "z.png"}
    said = facts_table(camera_facts(shown.cameras[0], shown.cameras_before[0], shown.unit))
    assert "Brücke &lt;b&gt;&amp;amp; 橋.png" in said
    assert "320 x 240 px" in said
    assert "turned by 1.28°" in said
    assert "before adjustment" in said
    assert "scene units" in said


def test_counts_say_what_was_left_out() -> None:
    assert shown_of(5, 1000, 1000) == "5 of 1,000 points"
    assert shown_of(5, 100, 2000) == "5 of 100 points, which are a random part of 2,000"


def test_overlay_goes_from_the_photograph_to_the_depth() -> None:
    photo = np.full((40, 60, 3), 200, np.uint8)
    depth = np.tile(np.linspace(1, 9, 30, dtype=np.float32), (20, 1))
    depth[:, 0] = 0
    painted = depth_picture(depth)
    assert tuple(painted[0, 0]) == (40, 40, 40)
    assert painted[0, 1, 0] > 200 > painted[0, -1, 0]  # near is yellow, far is blue
    only_photo, half, only_depth = (overlay(photo, depth, mix, 60) for mix in (0, 0.5, 1))
    assert only_photo is not None
    assert half is not None
    assert only_depth is not None
    np.testing.assert_array_equal(only_photo, photo)
    np.testing.assert_array_equal(only_depth[::2, ::2], painted)
    np.testing.assert_allclose(half, (only_photo.astype(float) + only_depth) / 2, atol=0.5)
    assert overlay(None, None, 0.5, 60) is None
    assert overlay(photo, None, 1.0, 30).shape == (20, 30, 3)  # type: ignore[union-attr]
    assert (depth_picture(np.zeros((2, 3), np.float32)) == 40).all()
