"""Measured distances: between cameras, between points, and how certain the scale is then."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from adjusting import seeded
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from synthetic import SyntheticScene, synthetic_scene

from vggt_sfm.errors import InputError
from vggt_sfm.geometry.cameras import project
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.io.plain import from_plain, to_plain
from vggt_sfm.placing.config import Distance, PlaceConfig, pixel_of
from vggt_sfm.placing.ends import Depth, locate
from vggt_sfm.placing.place import no_depth, place
from vggt_sfm.placing.report import PlacementReport
from vggt_sfm.scene import GpsPosition

Float64 = NDArray[np.float64]

SCALE = 2.5
DATA = synthetic_scene(num_frames=6, num_points=80, arc_deg=90)
A, B, C = np.array([0.5, -0.4, 0.3]), np.array([-0.6, 0.3, -0.5]), np.array([0.1, 0.7, -0.2])


def _distance(start: str, end: str, metres: float) -> Distance:
    return Distance(start=start, end=end, metres=metres)


def _camera(s: int) -> Float64:
    return np.asarray(invert(DATA.cam_from_world)[s, :, 3])


def _seen(xyz: Float64, s: int = 2) -> tuple[Float64, float]:
    xy, depth = project(xyz, DATA.cam_from_world[s], DATA.intrinsics[s])
    return xy, float(depth)


def _at(xy: Float64, s: int = 2) -> str:
    return f"{s:03d}.png@{xy[0]:.6f},{xy[1]:.6f}"


def _without_points(data: SyntheticScene = DATA) -> pycolmap.Reconstruction:
    model = seeded(data)
    model.delete_all_points2D_and_points3D()
    return model


def _place(
    model: pycolmap.Reconstruction, *distances: Distance, depth_at: Any = no_depth
) -> PlacementReport:
    config = PlaceConfig(distances=distances)
    found, report = place(model, DATA.scene.frames, config, depth_at)
    assert found is not None
    assert found.scale == report.scale
    assert report.applied
    return report


def test_the_distance_of_two_cameras_scales_and_does_nothing_else() -> None:
    metres = SCALE * float(np.linalg.norm(_camera(4) - _camera(1)))
    report = _place(seeded(DATA), _distance("001.png", "004.png", metres))
    assert report.source == "distance"
    assert report.scale == pytest.approx(SCALE, rel=1e-9)
    assert report.new_from_old is not None
    assert report.new_from_old.quat_xyzw == (0.0, 0.0, 0.0, 1.0)
    assert report.new_from_old.translation == (0.0, 0.0, 0.0)
    assert report.scale_sigma is not None
    assert 0.001 <= report.scale_sigma < 0.005
    assert report.remarks == ()


def test_the_uncertainty_of_a_camera_is_that_of_its_resection() -> None:
    model, s = seeded(DATA), 2
    sizes = {frame.name: frame.size for frame in DATA.scene.frames}
    end = locate("002.png", model, sizes, no_depth)
    xyz = DATA.xyz[DATA.tracks.track_index[DATA.tracks.frame_index == s]]
    turned, center = DATA.cam_from_world[s, :, :3], _camera(s)

    def pixels(step: Float64) -> Float64:
        rotation = Rotation.from_rotvec(step[3:]).as_matrix() @ turned
        pose = np.column_stack([rotation, -rotation @ (center + step[:3])])
        return np.asarray(project(xyz, pose, DATA.intrinsics[s])[0].ravel())

    steps = 1e-5 * np.eye(6)
    jacobian = np.stack([(pixels(d) - pixels(-d)) / 2e-5 for d in steps], axis=1)
    expected = np.linalg.inv(jacobian.T @ jacobian)[:3, :3]  # of noise of 1 px
    np.testing.assert_allclose(end.xyz, center, atol=1e-9)
    assert end.covariance is not None
    np.testing.assert_allclose(end.covariance, expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_a_camera_that_no_point_holds_is_five_per_cent_uncertain() -> None:
    report = _place(_without_points(), _distance("001.png", "004.png", 3.0))
    assert report.scale_sigma == pytest.approx(np.sqrt(2) * 0.05, rel=0.01)
    assert len([r for r in report.remarks if "held by too few points" in r]) == 2


def test_points_of_the_model_near_a_pixel_say_how_deep_it_is() -> None:
    start, end = DATA.xyz[0], DATA.xyz[1]
    metres = SCALE * float(np.linalg.norm(end - start))
    ends = [_at(_seen(xyz)[0] + np.array([0.3, -0.2])) for xyz in (start, end)]
    report = _place(seeded(DATA), _distance(*ends, metres))
    assert report.scale == pytest.approx(SCALE, rel=0.01)
    assert report.scale_sigma is not None
    assert report.scale_sigma < 0.02


def test_a_point_and_a_camera_and_a_distorted_lens() -> None:
    model = seeded(DATA, camera_model="SIMPLE_RADIAL")
    for camera in model.cameras.values():
        camera.params = np.array([*camera.params[:3], 0.1])
    xy = model.image(3).project_point(A)
    depth = _seen(A)[1]
    metres = SCALE * float(np.linalg.norm(A - _camera(0)))
    end = _at(xy)
    sparse = _without_points()
    for camera_id, camera in sparse.cameras.items():
        camera.model = model.camera(camera_id).model
        camera.params = model.camera(camera_id).params
    report = _place(
        sparse, _distance("000.png", end, metres), depth_at=lambda *_: Depth(depth, 0.0)
    )
    assert report.scale == pytest.approx(SCALE, rel=1e-6)


@pytest.mark.parametrize("sigma", [0.0, 0.04])
def test_the_uncertainty_of_depth_and_pixels_is_that_of_the_scale(sigma: float) -> None:
    model, metres = _without_points(), SCALE * float(np.linalg.norm(A - B))
    errors = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shown = [_seen(xyz) for xyz in (A, B)]
        clicks = [xy + rng.normal(size=2) for xy, _ in shown]
        depths = [Depth(depth + sigma * float(rng.normal()), sigma) for _, depth in shown]
        report = _place(
            model,
            _distance(_at(clicks[0]), _at(clicks[1]), metres),
            depth_at=lambda _name, xy, clicks=clicks, depths=depths: depths[
                int(abs(xy - clicks[1]).max() < 1e-3)
            ],
        )
        assert report.scale_sigma is not None
        assert report.scale is not None
        errors.append(np.log(report.scale / SCALE) / report.scale_sigma)
    assert 0.85 <= np.std(errors) <= 1.15


def _triangulated(data: SyntheticScene, point: int) -> Float64:
    mine = data.tracks.track_index == point
    frames, xy = data.tracks.frame_index[mine], data.tracks.xy[mine]

    def residual(xyz: Float64) -> Float64:
        seen, _ = project(xyz, data.cam_from_world[frames], data.intrinsics[frames])
        return np.asarray((seen - xy).ravel())

    return np.asarray(least_squares(residual, data.xyz[point]).x)


def test_the_uncertainty_of_points_that_noise_moved_is_not_too_small() -> None:
    errors = []
    for seed in range(60):
        data = synthetic_scene(num_frames=3, num_points=12, arc_deg=20, pixel_noise=1, seed=seed)
        in_first = data.tracks.track_index[data.tracks.frame_index == 0][:2]
        model = seeded(data)
        by_xyz = {tuple(point.xyz): point for point in model.points3D.values()}
        rng = np.random.default_rng(seed)
        ends = []
        for point in in_first:
            by_xyz[tuple(data.xyz[point])].xyz = _triangulated(data, point)
            xy, _ = project(data.xyz[point], data.cam_from_world[0], data.intrinsics[0])
            ends.append(_at(xy + rng.normal(size=2) / 2, 0))
        metres = SCALE * float(np.linalg.norm(np.diff(data.xyz[in_first], axis=0)))
        config = PlaceConfig(distances=(_distance(ends[0], ends[1], metres),))
        try:
            _, report = place(model, data.scene.frames, config)
        except InputError:
            continue  # noise took the click further from the observation than 4 px
        assert report.scale is not None
        assert report.scale_sigma is not None
        errors.append(np.log(report.scale / SCALE) / report.scale_sigma)
    assert len(errors) > 40
    assert 0.6 <= np.std(errors) <= 1.15


def test_the_edge_of_a_near_thing_before_a_far_one_is_uncertain() -> None:
    data = synthetic_scene(num_frames=6, num_points=60, arc_deg=90)
    model = seeded(data)
    image = model.image(3)
    near = [p for p in image.points2D if p.has_point3D()][:4]
    for n, point in enumerate(near):
        point.xy = np.array([200.0 + n, 100.0])
        ray = np.array([*model.camera(1).cam_from_img(point.xy), 1.0])
        depth = 4.0 if n % 2 else 6.0
        model.point3D(point.point3D_id).xyz = image.cam_from_world().inverse() * (ray * depth)
    other = _at(_seen(data.xyz[20])[0])
    edge = _place(model, _distance("002.png@201,100", other, 5.0))
    assert edge.scale_sigma is not None
    assert edge.scale_sigma > 0.2


def test_several_distances_are_weighed_and_their_disagreement_counts() -> None:
    model = _without_points()
    cases = [(A, B), (B, C), (A, C)]
    depth_of = {tuple(np.round(_seen(p)[0], 3)): Depth(_seen(p)[1], 0.02) for p in (A, B, C)}

    def depth_at(_name: str, xy: Float64) -> Depth:
        return depth_of[tuple(np.round(xy, 3))]

    def distances(factors: list[float]) -> list[Distance]:
        return [
            _distance(_at(_seen(p)[0]), _at(_seen(q)[0]), f * SCALE * float(np.linalg.norm(p - q)))
            for (p, q), f in zip(cases, factors, strict=True)
        ]

    alone = _place(model, distances([1, 1, 1])[0], depth_at=depth_at)
    agreeing = _place(model, *distances([1, 1, 1]), depth_at=depth_at)
    assert agreeing.scale == pytest.approx(SCALE, rel=1e-6)
    assert alone.scale_sigma is not None
    assert agreeing.scale_sigma is not None
    assert agreeing.scale_sigma < 0.8 * alone.scale_sigma
    assert agreeing.rms_m is not None
    assert agreeing.rms_m < 1e-5
    wild = _place(model, *distances([1.3, 1, 0.8]), depth_at=depth_at)
    assert wild.scale_sigma is not None
    assert wild.scale_sigma > 0.1
    assert any("disagree" in remark for remark in wild.remarks)
    assert wild.used[0].residual_m < 0 < wild.used[2].residual_m


def test_distances_win_over_positions_and_gps(tmp_path: Path) -> None:
    frames = [
        replace(frame, gps=GpsPosition(latitude_deg=47.0 + s / 1000, longitude_deg=8.0))
        for s, frame in enumerate(DATA.scene.frames)
    ]
    config = PlaceConfig(
        distances=(_distance("000.png", "001.png", 1.0),),
        positions=tmp_path / "not there.txt",
        gps="yes",
    )
    _, report = place(seeded(DATA), frames, config)
    assert report.source == "distance"
    assert not report.georeferenced


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("000.png", "other.png", r"no photograph is called other\.png; there are 000\.png"),
        ("000.png", "other.png@3,4", r"no photograph is called other\.png;"),
        ("000.png", "002.png@400.5,3", "outside the photograph, which has 400 x 300"),
        ("000.png", "002.png@-1,3", "outside the photograph"),
        ("000.png", "002.png@1,1", "the depth there is not known"),
        ("002.png@200,150", "002.png@200.0,150.0", "both ends are the same point"),
    ],
)
def test_ends_that_are_not_there_are_named(start: str, end: str, message: str) -> None:
    def depth_at(_name: str, xy: Float64) -> Depth | None:
        return Depth(5.0, 0.1) if xy[0] > 100 else None

    with pytest.raises(InputError, match=rf"--distance .*{message}"):
        _place(_without_points(), _distance(start, end, 1.0), depth_at=depth_at)


@pytest.mark.parametrize("depth", [-1.0, 0.0, np.nan, np.inf])
def test_a_depth_behind_the_camera_or_none_is_no_depth(depth: float) -> None:
    with pytest.raises(InputError, match="the depth there is not known"):
        _place(
            _without_points(),
            _distance("000.png", "002.png@200,150", 1.0),
            depth_at=lambda *_: Depth(depth, 0.1),
        )


def test_a_point_behind_the_camera_is_not_seen_by_it() -> None:
    model = seeded(DATA)
    image = model.image(3)
    behind = next(p for p in image.points2D if p.has_point3D())
    model.point3D(behind.point3D_id).xyz = image.cam_from_world().inverse() * [0.0, 0.0, -5.0]
    alone = [p for p in image.points2D if np.linalg.norm(p.xy - behind.xy) < 5]
    assert len(alone) == 1
    with pytest.raises(InputError, match="the depth there is not known"):
        _place(model, _distance("000.png", _at(behind.xy), 1.0))


def test_a_camera_that_is_not_in_the_model_is_named() -> None:
    model = seeded(DATA)
    model.deregister_frame(model.image(3).frame_id)
    with pytest.raises(InputError, match=r"the model has no camera for 002\.png"):
        _place(model, _distance("000.png", "002.png", 1.0))


@pytest.mark.parametrize(
    ("start", "end", "metres", "message"),
    [
        ("a", "b", -1.0, r"Distance\.metres: must be a positive length, got -1"),
        ("a", "b", 0.0, r"Distance\.metres"),
        ("a", "b", float("nan"), r"Distance\.metres"),
        ("a", "b", float("inf"), r"Distance\.metres"),
        ("a", " ", 1.0, r"Distance\.end: must be NAME or NAME@X,Y"),
        ("a", "a", 1.0, r"Distance\.end: both ends are a"),
    ],
)
def test_a_distance_that_cannot_be_is_refused(
    start: str, end: str, metres: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _distance(start, end, metres)


def test_a_distance_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"PlaceConfig\.distances: a to b is given more than once"):
        PlaceConfig(distances=(_distance("a", "b", 1.0), _distance("b", "a", 2.0)))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a.jpg", ("a.jpg", None)),
        ("my photo.jpg@12,3.5", ("my photo.jpg", (12.0, 3.5))),
        ("me@home.jpg", ("me@home.jpg", None)),
        ("me@home.jpg@1,2", ("me@home.jpg", (1.0, 2.0))),
        ("a.jpg@1", ("a.jpg@1", None)),
        ("a.jpg@1,2,3", ("a.jpg@1,2,3", None)),
        ("a.jpg@1..2,3", ("a.jpg@1..2,3", None)),
    ],
)
def test_an_end_is_a_name_or_a_pixel(word: str, expected: tuple[str, Any]) -> None:
    assert pixel_of(word) == expected


def test_the_config_survives_json_and_says_what_is_missing() -> None:
    config = PlaceConfig(
        gps="no", positions=Path("p.txt"), distances=(_distance("a", "b@1,2", 3.0),)
    )
    assert from_plain(PlaceConfig, json.loads(json.dumps(to_plain(config)))) == config
    with pytest.raises(ValueError, match=r"distances\[\]: end, metres is missing"):
        from_plain(PlaceConfig, {"distances": [{"start": "a"}]})
    with pytest.raises(ValueError, match="must be a positive length"):
        from_plain(PlaceConfig, {"distances": [{"start": "a", "end": "b", "metres": -1}]})
