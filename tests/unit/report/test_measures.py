"""What the report measures, against loops that follow pycolmap's objects."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest
from reported import seeded
from synthetic import synthetic_scene, through_lens

from vggt_sfm.report.measures import (
    Observations,
    coverage,
    error_histogram,
    length_histogram,
    model_facts,
    observations,
    shared_points,
    track_lengths,
)

# Both sides compute in double precision.
ROUND_OFF = 1e-9


@pytest.fixture(scope="module")
def model() -> pycolmap.Reconstruction:
    return seeded(synthetic_scene(num_frames=6, num_points=120, pixel_noise=0.8, outliers=0.5))


@pytest.fixture(scope="module")
def seen(model: pycolmap.Reconstruction) -> Observations:
    return observations(model, tuple(f"{s:03d}.png" for s in range(6)))


def test_errors_are_those_of_pycolmap(model: pycolmap.Reconstruction, seen: Observations) -> None:
    expected = []
    for s in range(6):
        image = model.find_image_with_name(f"{s:03d}.png")
        camera = model.cameras[image.camera_id]
        for point in image.points2D:
            if point.has_point3D():
                xyz = model.points3D[point.point3D_id].xyz
                projected = camera.img_from_cam(image.cam_from_world() * xyz)
                expected.append(np.linalg.norm(projected - point.xy))
    np.testing.assert_allclose(seen.errors_px, expected, rtol=0, atol=ROUND_OFF)
    mean = model_facts(seen).mean_error_px
    assert mean == pytest.approx(model.compute_mean_reprojection_error(), abs=ROUND_OFF)


def test_shared_points_are_counted_pair_by_pair(
    model: pycolmap.Reconstruction, seen: Observations
) -> None:
    ids = {
        image.name: {p.point3D_id for p in image.points2D if p.has_point3D()}
        for image in model.images.values()
    }
    expected = [[len(ids[a] & ids[b]) for b in seen.names] for a in seen.names]
    assert shared_points(seen).tolist() == expected
    assert len({count for row in expected for count in row}) > 3  # not one figure everywhere


def test_lengths_and_histograms_hold_every_point_and_observation(
    model: pycolmap.Reconstruction, seen: Observations
) -> None:
    lengths = sorted(point.track.length() for point in model.points3D.values())
    assert sorted(track_lengths(seen).tolist()) == lengths
    counted = length_histogram(seen)
    assert sum(counted.counts) == len(lengths)
    assert counted.counts[0] == lengths.count(2)
    errors = error_histogram(seen)
    assert sum(errors.counts) == len(seen.xy)
    below = errors.edges[5]
    assert sum(errors.counts[:5]) == int((seen.errors_px < below).sum())


def test_the_widest_angle_of_a_point_is_taken(seen: Observations) -> None:
    widest = []
    for row in range(len(seen.xyz)):
        rays = seen.xyz[row] - seen.centers[seen.image_of[seen.point_of == row]]
        units = rays / np.linalg.norm(rays, axis=1, keepdims=True)
        widest.append(
            max(np.degrees(np.arccos(np.clip(a @ b, -1, 1))) for a in units for b in units)
        )
    found = model_facts(seen).median_angle_deg
    assert found == pytest.approx(np.median(widest), abs=1e-6)
    assert 30 < np.median(widest) < 61  # the cameras stand on 60 degrees


def test_coverage_is_a_share_of_the_photograph(seen: Observations) -> None:
    whole = coverage(seen, 0, 400, 300)
    assert 0.2 < whole < 1
    assert coverage(seen, 0, 4000, 3000) < whole / 10


def test_a_model_without_points_and_images_outside_it_are_no_error() -> None:
    empty = observations(pycolmap.Reconstruction(), ("a.jpg", "b.jpg"))
    facts = model_facts(empty)
    assert (facts.points, facts.median_error_px, facts.median_angle_deg) == (0, None, None)
    assert shared_points(empty).tolist() == [[0, 0], [0, 0]]
    assert sum(error_histogram(empty).counts) == 0


def test_errors_that_point_outwards_tell_a_lens_and_noise_does_not() -> None:
    plain = synthetic_scene(num_frames=6, num_points=300, pixel_noise=0.5)
    model = seeded(plain)
    names = tuple(frame.name for frame in plain.scene.frames)
    noise = model_facts(observations(model, names)).radial_bias_px
    lens = pycolmap.Camera(
        model="SIMPLE_RADIAL", width=400, height=300, params=[440.0, 200, 150, 0.2]
    )
    bent = seeded(through_lens(plain, lens, 0.5))
    told = model_facts(observations(bent, names)).radial_bias_px
    assert noise is not None
    assert told is not None
    assert noise < 0.15 < 0.5 < told
