"""Models as arrays, and what is measured on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pycolmap
import pytest
from synthetic import disturbed, synthetic_scene

from vggt_sfm.ba.bundle import (
    Bundle,
    measure,
    read_bundle,
    triangulation_angles_deg,
    write_bundle,
)
from vggt_sfm.ba.config import SeedConfig
from vggt_sfm.ba.seed import seed_reconstruction


def model(camera_model: str = "SIMPLE_RADIAL") -> pycolmap.Reconstruction:
    data = disturbed(synthetic_scene(num_frames=4, num_points=60), rotation_deg=2, focal=1.1)
    config = SeedConfig(camera_model=camera_model)  # type: ignore[arg-type]
    return seed_reconstruction(data.scene, data.predictions, data.tracks, config)


def everything(bundle: Bundle) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.ones(len(bundle.xy), bool)


def test_reading_and_writing_changes_nothing() -> None:
    before = model()
    bundle = read_bundle(before)
    after = read_bundle(write_bundle(bundle, before, everything(bundle)))
    for name in ("image_ids", "point_ids", "xyz", "point_of", "image_of", "point2d_of", "xy"):
        np.testing.assert_array_equal(getattr(after, name), getattr(bundle, name))
    np.testing.assert_allclose(after.cam_from_world, bundle.cam_from_world, atol=1e-14)


def test_errors_agree_with_pycolmap() -> None:
    reconstruction = model()
    reconstruction.camera(1).params = [400, 200, 150, 0.05]
    bundle = read_bundle(reconstruction)
    error, depth = measure(bundle)
    assert (depth > 0).all()
    reconstruction.update_point_3d_errors()
    for n, point_id in enumerate(bundle.point_ids.tolist()):
        expected = reconstruction.point3D(point_id).error
        assert error[bundle.point_of == n].mean() == pytest.approx(expected)


def test_points_behind_a_camera_have_infinite_errors() -> None:
    bundle = read_bundle(model())
    xyz = bundle.xyz.copy()
    xyz[0] = -100 * bundle.cam_from_world[0, 2, :3]
    error, depth = measure(replace(bundle, xyz=xyz))
    first = (bundle.point_of == 0) & (bundle.image_of == 0)
    assert (depth[first] < 0).all()
    assert np.isinf(error[first]).all()


def test_angles_agree_with_pycolmap_over_all_pairs_of_views() -> None:
    reconstruction = model()
    bundle = read_bundle(reconstruction)
    angles = triangulation_angles_deg(bundle, everything(bundle))
    for n, point_id in enumerate(bundle.point_ids.tolist()):
        point = reconstruction.point3D(point_id)
        centers = [
            reconstruction.image(element.image_id).projection_center()
            for element in point.track.elements
        ]
        expected = max(
            pycolmap.calculate_triangulation_angle(a, b, point.xyz)
            for a in centers
            for b in centers
        )
        assert angles[n] == pytest.approx(np.degrees(expected), abs=1e-6)


def test_dropped_observations_and_points_leave_the_model() -> None:
    reconstruction = model()
    bundle = read_bundle(reconstruction)
    length = np.bincount(bundle.point_of)
    keep = everything(bundle)
    keep[np.flatnonzero(bundle.point_of == 0)[1:]] = False  # one view left
    keep[np.flatnonzero(bundle.point_of == 1)[0]] = False
    result = write_bundle(bundle, reconstruction, keep)
    assert result.num_points3D() == len(bundle.xyz) - 1
    assert not result.exists_point3D(int(bundle.point_ids[0]))
    assert result.point3D(int(bundle.point_ids[1])).track.length() == length[1] - 1
    assert result.compute_num_observations() == len(bundle.xy) - length[0] - 1
    assert reconstruction.num_points3D() == len(bundle.xyz)


def test_the_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        read_bundle(model()).xyz[0] = 0
