"""Rigs of several cameras, dissolved."""

from __future__ import annotations

import numpy as np
from rigged import rigged

from vggt_sfm.io.rigs import has_rigs, without_rigs

ROUND_OFF = 1e-12


def test_images_without_rigs_stand_and_see_as_before() -> None:
    model = rigged(moments=2, points=20)
    alone = without_rigs(model)
    assert has_rigs(model)
    assert not has_rigs(alone)
    assert model.num_rigs() == 1  # unchanged
    assert sorted(alone.images) == sorted(model.images)
    assert sorted(alone.points3D) == sorted(model.points3D)
    for image_id, image in model.images.items():
        copy = alone.image(image_id)
        assert (copy.name, copy.camera_id) == (image.name, image.camera_id)
        pose, moved = image.cam_from_world().matrix(), copy.cam_from_world().matrix()
        np.testing.assert_allclose(moved, pose, atol=ROUND_OFF)
        xy = [[p.xy for p in each.points2D] for each in (copy, image)]
        np.testing.assert_array_equal(xy[0], xy[1])
    for point_id, point in model.points3D.items():
        copy = alone.point3D(point_id)
        np.testing.assert_array_equal(copy.xyz, point.xyz)
        np.testing.assert_array_equal(copy.color, point.color)
        elements = [
            [(e.image_id, e.point2D_idx) for e in each.track.elements] for each in (copy, point)
        ]
        assert elements[0] == elements[1]
    error = model.compute_mean_reprojection_error()
    assert abs(alone.compute_mean_reprojection_error() - error) < ROUND_OFF


def test_images_without_a_pose_are_left_out_with_what_they_see() -> None:
    model = rigged(moments=3, points=20)
    model.frame(21).reset_pose()
    alone = without_rigs(model)
    assert sorted(alone.images) == [100, 101, 104, 105]
    assert all(point.track.length() == 4 for point in alone.points3D.values())
