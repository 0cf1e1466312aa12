"""Known cameras from every kind of source, and one line for each that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import foreign
import numpy as np
import pycolmap
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from synthetic import orbit

from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.io.colmap import write_sparse
from vggt_sfm.io.positions import LocalPosition
from vggt_sfm.priors.config import GPS, PriorConfig
from vggt_sfm.priors.poses import GivenPoses, given_poses
from vggt_sfm.scene import Frame, GpsPosition, Size

Float64 = NDArray[np.float64]

NAMES = ("1.jpg", "2.jpg", "3.jpg", "4.jpg")
FRAMES = tuple(Frame(name=n, path=f"/nowhere/{n}", size=Size(400, 300), sha256="") for n in NAMES)
POSES = np.concatenate(
    [Rotation.random(4, np.random.default_rng(0)).as_matrix(), orbit(4, 80)[:, :, 3:]], axis=2
)
# A pose goes through a quaternion, and in transforms.json through its inverse.
SAME = 1e-12


def given(said: str | Path, frames: Sequence[Frame] = FRAMES) -> GivenPoses:
    return given_poses(PriorConfig(poses=str(said)), frames)


def refused(said: str | Path, frames: Sequence[Frame] = FRAMES) -> str:
    with pytest.raises(InputError) as caught:
        given(said, frames)
    message = str(caught.value)
    assert message.startswith(f"--pose-prior {said}")
    assert "\n" not in message
    return message


def colmap_model(folder: Path, names: Sequence[str] = NAMES, posed: int = 4) -> Path:
    placed = [pycolmap.Rigid3d(pose) for pose in POSES]
    model = foreign.made_model(names, [foreign.camera("PINHOLE")], placed, grid=(0, 0)).model
    for number in range(posed + 1, len(names) + 1):
        model.deregister_frame(model.images[number].frame_id)
    write_sparse(folder, model)
    return folder


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def assert_poses(found: GivenPoses, wanted: dict[str, Float64]) -> None:
    assert list(found.cam_from_world) == list(wanted)
    assert found.positions == {}
    for name, pose in wanted.items():
        np.testing.assert_allclose(np.array(found.cam_from_world[name]), pose, atol=SAME)


def test_nothing_is_given_unless_it_is_said() -> None:
    assert given_poses(PriorConfig(), FRAMES) == GivenPoses()


def test_a_colmap_model_gives_the_poses_that_it_has(tmp_path: Path) -> None:
    colmap_model(tmp_path / "sparse" / "0", posed=3)
    wanted = dict(zip(NAMES[:3], POSES[:3], strict=True))
    for said in (tmp_path, tmp_path / "sparse" / "0"):
        assert_poses(given(said), wanted)


def test_names_may_be_longer_and_some_unknown(tmp_path: Path) -> None:
    colmap_model(tmp_path / "0", ["images/1.jpg", "images/9.jpg", "images/3.jpg", "8.jpg"])
    assert_poses(given(tmp_path), {"1.jpg": POSES[0], "3.jpg": POSES[2]})


@pytest.mark.parametrize("name", ["transforms.json", "transforms_train.JSON"])
def test_transforms_json_gives_poses(name: str, tmp_path: Path) -> None:
    blender = invert(POSES) @ np.diag([1.0, -1, -1, 1])
    frames = [
        {"file_path": f"./{name}", "transform_matrix": [*pose.tolist(), [0, 0, 0, 1]]}
        for name, pose in zip(NAMES, blender, strict=True)
    ]
    told = {"w": 400, "h": 300, "fl_x": 350, "frames": frames}
    path = written(tmp_path / name, json.dumps(told))
    assert_poses(given(path), dict(zip(NAMES, POSES, strict=True)))


def test_a_text_file_gives_positions_in_metres(tmp_path: Path) -> None:
    path = written(tmp_path / "p.txt", "a/1.jpg 0 0 1", "a/3.jpg 5 -1 2 0.1", "a/2.jpg 1 1 1")
    found = given(path)
    assert found == GivenPoses(
        local={
            "1.jpg": LocalPosition(x_m=0, y_m=0, z_m=1),
            "2.jpg": LocalPosition(x_m=1, y_m=1, z_m=1),
            "3.jpg": LocalPosition(x_m=5, y_m=-1, z_m=2, sigma_m=0.1),
        },
        source="positions",
    )
    assert found.positions is found.local


def test_a_text_file_gives_positions_on_earth(tmp_path: Path) -> None:
    lines = [f"{name},48.85,2.3{n},5{n}" for n, name in enumerate(NAMES)]
    found = given(written(tmp_path / "p.csv", "name,lat,lon,alt", *lines))
    assert (found.source, found.local, found.cam_from_world) == ("positions", {}, {})
    assert found.positions["4.jpg"] == GpsPosition(
        latitude_deg=48.85, longitude_deg=2.33, altitude_m=53
    )


def with_gps(count: int, altitude_m: float | None = 50.0) -> list[Frame]:
    where = GpsPosition(latitude_deg=48.85, longitude_deg=2.35, altitude_m=altitude_m)
    return [replace(frame, gps=where if n < count else None) for n, frame in enumerate(FRAMES)]


def test_gps_is_what_the_photographs_say() -> None:
    found = given(GPS, with_gps(3))
    assert (found.source, list(found.geographic)) == ("gps", list(NAMES[:3]))


def test_a_file_called_gps_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / GPS, *(f"{name} 0 0 {n}" for n, name in enumerate(NAMES)))
    monkeypatch.chdir(tmp_path)
    assert given(GPS).source == "positions"


def test_three_positions_are_needed(tmp_path: Path) -> None:
    two = written(tmp_path / "p.txt", "1.jpg 0 0 1", "2.jpg 1 1 1", "other.jpg 0 0 0")
    assert "2 photographs have a position; 3 are needed" in refused(two)
    assert "2 photographs have a position; 3 are needed" in refused(GPS, with_gps(2))
    assert "0 photographs have a position" in refused(GPS)


def test_heights_are_needed(tmp_path: Path) -> None:
    lines = ("name,x,y,z", "1.jpg,0,0,1", "2.jpg,1,1,", "3.jpg,2,1,1")
    message = refused(written(tmp_path / "p.csv", *lines))
    assert "2.jpg has a position without height" in message
    assert "--positions places a finished model" in message
    assert "0 photographs have a position" in refused(GPS, with_gps(3, altitude_m=None))
    mixed = [*with_gps(3), with_gps(4, altitude_m=None)[3]]
    assert list(given(GPS, mixed).geographic) == ["1.jpg", "2.jpg", "3.jpg"]


def test_other_photographs_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "p.txt", *(f"img{n}.jpg 0 0 {n}" for n in range(5)))
    message = refused(path)
    assert "none of its 5 names of cameras is one of a photograph" in message
    assert "it has img0.jpg, img1.jpg, img2.jpg, and the first photograph is 1.jpg" in message
    colmap_model(tmp_path / "0", [f"img{n}.jpg" for n in range(4)])
    assert "it has img" in refused(tmp_path / "0")


def test_a_model_without_poses_is_told(tmp_path: Path) -> None:
    assert "none of its 0 names" in refused(colmap_model(tmp_path / "0", posed=0))


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    assert "no such file or folder; gps uses" in refused(tmp_path / "nowhere")
    assert "no COLMAP model there" in refused(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", "1.jpg 0 0\n", "p.txt, line 1: expected NAME X Y Z"),
        ("p.txt", "", "p.txt: holds no position"),
        ("t.json", "{", "t.json: no readable JSON"),
        ("t.json", "{}", "t.json: frames is no list of frames"),
    ],
)
def test_what_cannot_be_read_is_told(name: str, text: str, message: str, tmp_path: Path) -> None:
    assert message in refused(written(tmp_path / name, text))
