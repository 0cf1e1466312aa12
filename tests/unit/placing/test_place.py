"""Placing a model: what counts, what is applied, and what is said about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from adjusting import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from synthetic import SyntheticScene, synthetic_scene

from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.io.plain import from_plain, to_plain
from vggt_sfm.placing.config import PlaceConfig
from vggt_sfm.placing.local_frame import east_north_up
from vggt_sfm.placing.place import apply, place
from vggt_sfm.placing.report import PlacementReport
from vggt_sfm.scene import Frame, GpsPosition

Float64 = NDArray[np.float64]

SCALE = 3.5
UP = np.array([0.0, -1.0, 0.0])  # of the synthetic world, in which y points down
TURN = Rotation.from_euler("xz", [-90, 40], degrees=True).as_matrix()  # takes UP to the third axis
HOME = GpsPosition(latitude_deg=47.3, longitude_deg=8.5, altitude_m=430.0)
DATA = synthetic_scene(num_frames=8, num_points=60, arc_deg=120)


def _model() -> pycolmap.Reconstruction:
    return seeded(DATA)


def _metric(data: SyntheticScene = DATA) -> Float64:
    """Return where the cameras are in metres, East, North and Up of home."""
    centers = invert(data.cam_from_world)[:, :, 3]
    return SCALE * centers @ TURN.T


def _gps(enu: Float64, sigma_m: float | None = None) -> list[GpsPosition]:
    transform = pycolmap.GPSTransform(pycolmap.GPSTransformEllipsoid.WGS84)
    home = (HOME.latitude_deg, HOME.longitude_deg, HOME.altitude_m or 0.0)
    return [
        GpsPosition(latitude_deg=lat, longitude_deg=lon, altitude_m=alt, sigma_m=sigma_m)
        for lat, lon, alt in transform.enu_to_ellipsoid(enu, *home).tolist()
    ]


def _frames(gps: Mapping[int, GpsPosition] | None = None) -> list[Frame]:
    return [replace(frame, gps=(gps or {}).get(s)) for s, frame in enumerate(DATA.scene.frames)]


def _with_gps(enu: Float64, sigma_m: float | None = None) -> list[Frame]:
    return _frames(dict(enumerate(_gps(enu, sigma_m))))


def _list(folder: Path, xyz: Float64, sigma: float | None = None, header: str = "") -> Path:
    path = folder / "positions.txt"
    rows = [
        f"{frame.name},{x!r},{y!r},{z!r}{'' if sigma is None else f',{sigma}'}"
        for frame, (x, y, z) in zip(DATA.scene.frames, xyz.tolist(), strict=False)
    ]
    path.write_text("\n".join([header, *rows]))
    return path


def _centers(model: pycolmap.Reconstruction) -> Float64:
    return np.stack([model.image(i + 1).projection_center() for i in range(model.num_images())])


# --- nothing known


def test_without_anything_known_the_model_stays_as_it_is() -> None:
    for config in (PlaceConfig(), PlaceConfig(gps="no")):
        found, report = place(_model(), _frames(), config)
        assert found is None
        assert (report.source, report.applied, report.scale) == ("none", False, None)
    found, report = place(_model(), _with_gps(_metric()), PlaceConfig(gps="no"))
    assert found is None
    assert report.reason == "no distance, no positions"


# --- applying


def test_applying_moves_everything_and_keeps_what_photographs_show() -> None:
    model = _model()
    before = {i: point.xyz for i, point in model.points3D.items()}
    cameras = _centers(model)
    rotation = Rotation.random(random_state=0).as_matrix()
    new_from_old = pycolmap.Sim3d(
        SCALE, pycolmap.Rotation3d(Rotation.from_matrix(rotation).as_quat()), [1.0, -2.0, 3.0]
    )
    moved = apply(model, new_from_old)
    offset = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(_centers(moved), SCALE * cameras @ rotation.T + offset, atol=1e-9)
    assert len(moved.rigs) == len(model.rigs)
    for frame_id, frame in moved.frames.items():
        turned = frame.rig_from_world.rotation.matrix() @ rotation
        was = model.frame(frame_id).rig_from_world.rotation.matrix()
        np.testing.assert_allclose(turned, was, atol=1e-9)
    for i, xyz in before.items():
        np.testing.assert_allclose(moved.point3D(i).xyz, SCALE * rotation @ xyz + offset, atol=1e-9)
        np.testing.assert_array_equal(model.point3D(i).xyz, xyz)
        for element in moved.point3D(i).track.elements:
            seen = model.image(element.image_id).project_point(xyz)
            again = moved.image(element.image_id).project_point(moved.point3D(i).xyz)
            np.testing.assert_allclose(again, seen, atol=1e-9)
    np.testing.assert_array_equal(_centers(model), cameras)


# --- geography


def _by_hand(latitude_deg: float, longitude_deg: float, altitude_m: float) -> Float64:
    """Return Earth-centred coordinates of a WGS84 position, from the textbook."""
    a, f = 6378137.0, 1 / 298.257223563
    e2 = f * (2 - f)
    lat, lon = np.radians([latitude_deg, longitude_deg])
    normal = a / np.sqrt(1 - e2 * np.sin(lat) ** 2)
    return np.array(
        [
            (normal + altitude_m) * np.cos(lat) * np.cos(lon),
            (normal + altitude_m) * np.cos(lat) * np.sin(lon),
            (normal * (1 - e2) + altitude_m) * np.sin(lat),
        ]
    )


@pytest.mark.parametrize("longitude", [8.5, -122.0, 179.9999, -180.0])
@pytest.mark.parametrize("latitude", [47.3, -33.9, 0.0, 89.0])
def test_east_north_up_is_that_of_an_independent_formula(latitude: float, longitude: float) -> None:
    offsets = [(0.0, 0.0, 0.0), (0.001, -0.002, 30.0), (-0.0015, 0.0025, -20.0)]
    positions = [
        GpsPosition(
            latitude_deg=latitude + north,
            longitude_deg=(longitude + east + 180) % 360 - 180,
            altitude_m=500 + up,
        )
        for north, east, up in offsets
    ]
    enu, origin = east_north_up(positions)
    assert origin.latitude_deg == pytest.approx(latitude, abs=1e-12)
    assert (origin.longitude_deg - longitude + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)
    assert origin.altitude_m == 500
    lat, lon = np.radians([origin.latitude_deg, origin.longitude_deg])
    east = [-np.sin(lon), np.cos(lon), 0]
    north = [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
    up = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    middle = _by_hand(origin.latitude_deg, origin.longitude_deg, 500)
    for position, found in zip(positions, enu, strict=True):
        away = _by_hand(position.latitude_deg, position.longitude_deg, position.altitude_m or 0)
        np.testing.assert_allclose(found, np.array([east, north, up]) @ (away - middle), atol=1e-6)


def test_gps_turns_the_model_to_east_north_and_up() -> None:
    model = _model()
    found, report = place(model, _with_gps(_metric() * 10), PlaceConfig())
    assert found is not None
    assert (report.source, report.applied, report.georeferenced) == ("gps", True, True)
    assert report.scale == pytest.approx(10 * SCALE, rel=1e-6)
    assert report.rms_m is not None
    assert report.rms_m < 1e-4
    rotation = found.rotation.matrix()
    # The median of the positions lies metres from home, where East is another by that much
    np.testing.assert_allclose(rotation, TURN, atol=1e-4)
    np.testing.assert_allclose(rotation @ UP, [0, 0, 1], atol=1e-4)
    assert report.origin is not None
    assert report.origin.latitude_deg == pytest.approx(HOME.latitude_deg, abs=0.01)
    assert report.scale_sigma is not None
    assert 0 < report.scale_sigma < 0.05


def test_gps_that_leaves_the_scale_open_is_only_told_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frames = _with_gps(_metric(), sigma_m=8.0)
    found, report = place(_model(), frames, PlaceConfig())
    assert found is None
    assert not report.applied
    assert report.scale_sigma is not None
    assert report.scale_sigma > 0.1
    assert "leaves the scale uncertain by" in (report.reason or "")
    assert not report.georeferenced
    found, report = place(_model(), frames, PlaceConfig(gps="yes"))
    assert found is not None
    assert report.applied
    assert "the scale is uncertain by" in caplog.text


def test_gps_that_is_asked_for_must_be_there() -> None:
    with pytest.raises(InputError, match=r"0 of 8 cameras of the model has a position"):
        place(_model(), _frames(), PlaceConfig(gps="yes"))
    one = {0: HOME}
    found, report = place(_model(), _frames(one), PlaceConfig())
    assert found is None
    assert (report.source, report.applied) == ("gps", False)
    same = dict.fromkeys(range(8), HOME)
    with pytest.raises(InputError, match="are one place; try --gps auto"):
        place(_model(), _frames(same), PlaceConfig(gps="yes"))
    assert place(_model(), _frames(same), PlaceConfig())[0] is None


def test_positions_of_other_photographs_do_not_fit(tmp_path: Path) -> None:
    path = _list(tmp_path, np.random.default_rng(3).normal(size=(8, 3)))
    with pytest.raises(InputError, match="8 positions do not fit the cameras at any scale"):
        place(_model(), _frames(), PlaceConfig(positions=path))
    close = _with_gps(0.01 * _metric(), sigma_m=5.0)
    found, report = place(_model(), close, PlaceConfig())
    assert found is None
    assert "do not fit the cameras at any scale" in (report.reason or "")


def test_one_wrong_fix_of_eight_spoils_nothing(caplog: pytest.LogCaptureFixture) -> None:
    enu = _metric() * 10
    enu[3] += [4000.0, -3000.0, 200.0]
    _, report = place(_model(), _with_gps(enu), PlaceConfig())
    assert [one.name for one in report.left_out] == ["003.png"]
    assert report.left_out[0].residual_m == pytest.approx(5004, rel=0.01)
    assert report.scale == pytest.approx(10 * SCALE, rel=1e-4)
    assert len(report.used) == 7
    assert "1 of 8 positions contradict the others and are left out: 003.png" in caplog.text


def test_gps_without_altitude_places_horizontally() -> None:
    gps = [replace(one, altitude_m=None) for one in _gps(_metric() * 10, sigma_m=0.5)]
    found, report = place(_model(), _frames(dict(enumerate(gps))), PlaceConfig())
    assert found is not None
    assert report.scale == pytest.approx(10 * SCALE, rel=0.02)
    assert report.origin is not None
    assert report.origin.altitude_m is None
    assert any("vertical is that of how the photographs were held" in r for r in report.remarks)
    np.testing.assert_allclose(found.rotation.matrix() @ UP, [0, 0, 1], atol=0.1)


# --- given positions


def test_positions_place_the_model_in_their_own_frame(tmp_path: Path) -> None:
    xyz = _metric() + np.array([2000.0, 3000.0, 400.0])
    model = _model()
    found, report = place(model, _frames(), PlaceConfig(positions=_list(tmp_path, xyz)))
    assert found is not None
    np.testing.assert_allclose(_centers(apply(model, found)), xyz, atol=1e-6)
    assert (report.source, report.applied, report.georeferenced) == ("positions", True, False)
    assert report.origin is None


def test_geographic_positions_are_as_good_as_gps(tmp_path: Path) -> None:
    gps = _gps(_metric() * 10)
    rows = np.array([[g.latitude_deg, g.longitude_deg, g.altitude_m] for g in gps])
    path = _list(tmp_path, rows, header="name,lat,lon,alt")
    _, report = place(_model(), _frames(), PlaceConfig(positions=path))
    assert report.georeferenced
    assert report.scale == pytest.approx(10 * SCALE, rel=1e-6)


def test_positions_win_over_gps_and_uncertain_ones_are_applied(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _list(tmp_path, _metric(), sigma=8.0)
    found, report = place(_model(), _with_gps(_metric() * 10), PlaceConfig(positions=path))
    assert found is not None
    assert report.source == "positions"
    assert report.scale == pytest.approx(SCALE, rel=1e-6)
    assert "the scale is uncertain by" in caplog.text


def test_far_coordinates_are_remarked_on(tmp_path: Path) -> None:
    path = _list(tmp_path, _metric() + np.array([465000.0, 5240000.0, 400.0]))
    _, report = place(_model(), _frames(), PlaceConfig(positions=path))
    assert any("lie 5240 km from their origin" in remark for remark in report.remarks)


@pytest.mark.parametrize(("sigma", "said"), [(None, None), (0.1, 0.1)])
def test_two_positions_give_the_scale_alone(
    tmp_path: Path, sigma: float | None, said: float | None
) -> None:
    path = _list(tmp_path, _metric()[:2], sigma)
    found, report = place(_model(), _frames(), PlaceConfig(positions=path))
    assert found is not None
    assert found.scale == pytest.approx(SCALE, rel=1e-9)
    np.testing.assert_array_equal(found.rotation.matrix(), np.eye(3))
    np.testing.assert_array_equal(found.translation, np.zeros(3))
    length = float(np.linalg.norm(_metric()[1] - _metric()[0]))
    assert report.scale_sigma == (
        None if said is None else pytest.approx(np.sqrt(2) * said / length, rel=1e-9)
    )
    assert any("two positions give the scale alone" in remark for remark in report.remarks)


@pytest.mark.parametrize(("enu", "worse"), [((100.0, 0.0, 0.0), 1), ((0.0, 0.0, 100.0), 2)])
def test_heights_of_gps_count_as_twice_as_uncertain(
    enu: tuple[float, float, float], worse: float
) -> None:
    gps = dict(enumerate(_gps(np.array([(0.0, 0.0, 0.0), enu]), sigma_m=1.0)))
    _, report = place(_model(), _frames(gps), PlaceConfig())
    assert report.applied
    assert not report.georeferenced
    assert report.scale_sigma == pytest.approx(np.sqrt(2) * worse / 100, rel=1e-3)


def test_positions_that_cannot_place_are_refused(tmp_path: Path) -> None:
    path = _list(tmp_path, _metric()[:1])
    with pytest.raises(InputError, match=r"positions\.txt: 1 of 8 cameras"):
        place(_model(), _frames(), PlaceConfig(positions=path))
    path = _list(tmp_path, np.tile(_metric()[:1], (2, 1)))
    with pytest.raises(InputError, match="both positions, or both cameras, are one"):
        place(_model(), _frames(), PlaceConfig(positions=path))
    path.write_text("x.jpg 1 2 3\ny.jpg 4 5 6")
    with pytest.raises(InputError, match=r"none of its 2 names .* x\.jpg, y\.jpg, and .*000\.png"):
        place(_model(), _frames(), PlaceConfig(positions=path))


def test_names_that_are_not_in_the_scene_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _list(tmp_path, _metric())
    path.write_text(path.read_text() + "\nother.jpg,1,2,3\n")
    _, report = place(_model(), _frames(), PlaceConfig(positions=path))
    assert len(report.used) == 8
    assert "1 of 9 names are none of a photograph, such as other.jpg" in caplog.text


def test_a_camera_without_pose_takes_no_part(tmp_path: Path) -> None:
    model = _model()
    model.deregister_frame(model.image(3).frame_id)
    _, report = place(model, _frames(), PlaceConfig(positions=_list(tmp_path, _metric())))
    assert [one.name for one in report.used] == [f"{s:03d}.png" for s in range(8) if s != 2]


# --- properties


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    scale=st.floats(0.01, 100),
    angle=st.floats(0, np.pi) | st.floats(0, 1e-7),
    heights=st.booleans(),
)
def test_placing_does_not_depend_on_the_world_the_model_was_in(
    seed: int, scale: float, angle: float, heights: bool
) -> None:
    rng = np.random.default_rng(seed)
    gps = _gps(_metric() * 10 + rng.normal(size=(8, 3)), sigma_m=1.0)
    if not heights:
        gps = [replace(one, altitude_m=None) for one in gps]
    frames = _frames(dict(enumerate(gps)))
    axis = rng.normal(size=3)
    turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
    other_from_world = pycolmap.Sim3d(
        scale, pycolmap.Rotation3d(turn.as_quat()), scale * rng.normal(size=3)
    )
    model = _model()
    other = apply(model, other_from_world)
    config = PlaceConfig(gps="yes")
    (one, said), (two, again) = place(model, frames, config), place(other, frames, config)
    assert one is not None
    assert two is not None
    np.testing.assert_allclose(_centers(apply(model, one)), _centers(apply(other, two)), atol=1e-5)
    assert again.scale_sigma == pytest.approx(said.scale_sigma, rel=1e-5)
    assert again.scale == pytest.approx((said.scale or 0) / scale, rel=1e-7)


def test_the_report_survives_json_and_says_what_was_applied() -> None:
    found, report = place(_model(), _with_gps(_metric() * 10), PlaceConfig())
    assert found is not None
    again = from_plain(PlacementReport, json.loads(json.dumps(to_plain(report))))
    assert again == report
    assert report.new_from_old is not None
    what = report.new_from_old
    rotation = Rotation.from_quat(what.quat_xyzw).as_matrix()
    matrix = np.concatenate([what.scale * rotation, np.array(what.translation)[:, None]], axis=1)
    np.testing.assert_allclose(found.matrix(), matrix, atol=1e-9)
