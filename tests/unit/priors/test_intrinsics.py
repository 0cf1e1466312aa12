"""Known intrinsics from numbers and from the files of others, and what is said of wrong ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pycolmap
import pytest
from foreign import LENSES

from vggt_sfm.ba.config import CameraModel
from vggt_sfm.ba.knowledge import KnownCamera
from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import write_sparse
from vggt_sfm.priors.config import PriorConfig
from vggt_sfm.priors.intrinsics import known_cameras
from vggt_sfm.scene import Frame, Size

SIZE = Size(400, 300)
NAMES = ("a/1.jpg", "a/2.jpg", "b/3.jpg")
PINHOLE = (350.0, 352.0, 201.0, 149.0)


def frame(name: str, size: Size = SIZE, camera_key: str = "") -> Frame:
    return Frame(name=name, path=f"/nowhere/{name}", size=size, sha256="", camera_key=camera_key)


FRAMES = tuple(frame(name, camera_key="one") for name in NAMES)


def known(
    said: str | Path,
    frames: Sequence[Frame] = FRAMES,
    model: CameraModel = "SIMPLE_PINHOLE",
    sigma: float = 0.0,
) -> tuple[KnownCamera, ...]:
    config = PriorConfig(intrinsics=str(said), intrinsics_sigma=sigma)
    return known_cameras(config, model, frames)


def camera(number: int, *params: float, size: Size = SIZE, model: str = "") -> pycolmap.Camera:
    model = model or {3: "SIMPLE_PINHOLE", 4: "PINHOLE"}[len(params)]
    return pycolmap.Camera(
        model=model, width=size.width, height=size.height, params=params, camera_id=number
    )


def colmap_model(folder: Path, cameras: Sequence[pycolmap.Camera], owners: dict[str, int]) -> Path:
    model = pycolmap.Reconstruction()
    for one in cameras:
        model.add_camera_with_trivial_rig(one)
    for number, (name, owner) in enumerate(owners.items(), start=1):
        image = pycolmap.Image(name=name, camera_id=owner, image_id=number)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d())
    write_sparse(folder, model)
    return folder


def refused(said: str | Path, frames: Sequence[Frame] = FRAMES, **options: CameraModel) -> str:
    with pytest.raises(InputError) as caught:
        known(said, frames, **options)
    message = str(caught.value)
    assert message.startswith(f"--intrinsics {said}: ")
    assert "\n" not in message
    return message


def test_nothing_is_known_unless_it_is_said() -> None:
    assert known_cameras(PriorConfig(), "PINHOLE", FRAMES) == ()


def test_numbers_hold_for_every_photograph() -> None:
    (found,) = known("350,201,149")
    assert found == KnownCamera(
        model="SIMPLE_PINHOLE", params=(350, 201, 149), sigma=(0, 0, 0), names=NAMES
    )
    (found,) = known(" 350, 352,201,149,-.1,1e-2,0,0", model="OPENCV")
    assert (found.model, found.params) == ("OPENCV", (*PINHOLE, -0.1, 0.01, 0, 0))


@pytest.mark.parametrize("keys", ["xyx", "xyz", ("", "", "")])
def test_numbers_do_not_say_how_many_cameras_there_are(keys: Sequence[str]) -> None:
    frames = [frame(name, camera_key=key) for name, key in zip(NAMES, keys, strict=True)]
    groups = [one.names for one in known("350,201,149", frames, sigma=0.1)]
    assert groups == [NAMES[::2], NAMES[1:2]] if keys == "xyx" else [(name,) for name in NAMES]


WRONG = ["350", "350,201", "350,201,149,0", "350,201,x", "350;201;149", "nowhere/cameras.txt"]
IMPOSSIBLE = ["-350,201,149", "0,201,149", "nan,201,149", "350,nan,149", "inf,201,149"]


@pytest.mark.parametrize("said", WRONG + IMPOSSIBLE)
def test_wrong_numbers_are_told_with_what_is_expected(said: str) -> None:
    assert "neither a file nor 3 numbers f,cx,cy, as SIMPLE_PINHOLE has" in refused(said)


def test_both_focal_lengths_are_looked_at() -> None:
    message = refused("350,-350,201,149", model="PINHOLE")
    assert "4 numbers fx,fy,cx,cy, as PINHOLE has; --camera-model names others" in message


def test_numbers_of_one_size_do_not_hold_for_another() -> None:
    frames = [frame("1.jpg"), frame("2.jpg", Size(300, 400))]
    assert "such as 300 x 400 and 400 x 300" in refused("350,201,149", frames)


def test_a_colmap_model_knows_the_cameras_of_its_images(tmp_path: Path) -> None:
    cameras = [camera(3, *PINHOLE), camera(7, 300, 200, 150)]
    owners = {NAMES[0]: 3, NAMES[1]: 7, NAMES[2]: 3, "other.jpg": 7}
    folder = colmap_model(tmp_path / "sparse" / "0", cameras, owners)
    for said in (folder, tmp_path):
        first, second = known(said)
        assert (first.model, first.params, first.names) == ("PINHOLE", PINHOLE, NAMES[::2])
        assert (second.model, second.params) == ("SIMPLE_PINHOLE", (300, 200, 150))
        assert second.names == NAMES[1:2]


def test_equal_cameras_of_a_file_stay_two(tmp_path: Path) -> None:
    cameras = [camera(1, *PINHOLE), camera(2, *PINHOLE)]
    colmap_model(tmp_path / "0", cameras, {NAMES[0]: 1, NAMES[1]: 2, NAMES[2]: 2})
    assert [one.names for one in known(tmp_path, sigma=0.1)] == [NAMES[:1], NAMES[1:]]


def test_names_are_found_by_their_last_part(tmp_path: Path) -> None:
    cameras = [camera(1, *PINHOLE), camera(2, 300, 200, 150)]
    colmap_model(tmp_path / "0", cameras, {"1.jpg": 1, "x/2.jpg": 2})
    assert [one.names for one in known(tmp_path)] == [NAMES[:1], NAMES[1:2]]


def test_one_camera_took_all_where_the_names_are_others(tmp_path: Path) -> None:
    colmap_model(tmp_path / "0", [camera(1, *PINHOLE)], {"board1.jpg": 1, "board2.jpg": 1})
    (found,) = known(tmp_path)
    assert (found.params, found.names) == (PINHOLE, NAMES)


def test_several_cameras_and_other_names_are_nobodys(tmp_path: Path) -> None:
    cameras = [camera(1, *PINHOLE), camera(2, *PINHOLE)]
    colmap_model(tmp_path / "0", cameras, {"board1.jpg": 1, "board2.jpg": 2})
    message = refused(tmp_path)
    assert "none of its 2 images is one of the photographs, such as a/1.jpg" in message


@pytest.mark.parametrize("model", LENSES)
def test_a_cameras_txt_is_enough(model: str, tmp_path: Path) -> None:
    words = " ".join(map(str, LENSES[model]))
    path = tmp_path / "cameras.txt"
    path.write_text(f"# Camera list\n4 {model} 400 300 {words}\n")
    (found,) = known(path)
    assert (found.model, found.params, found.names) == (model, LENSES[model], NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello world\n", "not a readable cameras.txt of COLMAP"),
        ("1 PINHOLE 400 300 350\n", "not a readable cameras.txt of COLMAP"),
        ("1 PINHOLE 400 300 nan 350 200 150\n", "not a readable cameras.txt of COLMAP"),
        ("", "0 cameras and no image says whose they are"),
        ("1 SIMPLE_PINHOLE 9 9 9 9 9\n2 SIMPLE_PINHOLE 9 9 9 9 9\n", "2 cameras and no image"),
        ("1 SIMPLE_PINHOLE 400 300 0 200 150\n", "a/1.jpg is SIMPLE_PINHOLE with 0, 200, 150"),
        ("1 EQUIRECTANGULAR 400 300 400 300\n", "a/1.jpg is EQUIRECTANGULAR with 400, 300"),
    ],
)
def test_a_wrong_cameras_txt_is_told(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "cameras.txt").write_text(text)
    assert message in refused(tmp_path / "cameras.txt")


def test_transforms_json_tells_pixels_too(tmp_path: Path) -> None:
    eye = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    told = dict(zip(("fl_x", "fl_y", "cx", "cy"), PINHOLE, strict=True))
    frames = [{"file_path": f"images/{name}", "transform_matrix": eye} for name in NAMES[:2]]
    path = tmp_path / "transforms.json"
    path.write_text(json.dumps({**told, "w": 400, "h": 300, "frames": frames}))
    for said in (path, tmp_path):
        (found,) = known(said)
        assert (found.model, found.params, found.names) == ("PINHOLE", PINHOLE, NAMES[:2])
    path.write_text("[]")
    assert "transforms.json" in refused(path)


def test_a_calibration_at_another_size_is_scaled(tmp_path: Path) -> None:
    twice = [2 * value for value in PINHOLE]
    owners = dict.fromkeys(NAMES, 1)
    colmap_model(tmp_path / "0", [camera(1, *twice, size=Size(800, 600))], owners)
    frames = [*FRAMES[:2], frame(NAMES[2], Size(200, 150))]
    first, second = known(tmp_path, frames)
    assert first.params == pytest.approx(PINHOLE, rel=1e-12)
    assert second.params == pytest.approx([value / 2 for value in PINHOLE], rel=1e-12)
    assert (first.names, second.names) == (NAMES[:2], NAMES[2:])


def test_sides_that_were_rounded_are_the_same_shape(tmp_path: Path) -> None:
    colmap_model(tmp_path / "0", [camera(1, 1000, 500, 333.5, size=Size(1000, 667))], {"x.jpg": 1})
    (found,) = known(tmp_path, [frame("1.jpg", Size(150, 100))])
    assert found.params == pytest.approx((150, 75, 50), rel=2e-3)


@pytest.mark.parametrize("size", [Size(300, 400), Size(400, 400), Size(400, 225)])
def test_another_shape_is_another_camera(size: Size, tmp_path: Path) -> None:
    colmap_model(tmp_path / "0", [camera(1, *PINHOLE)], {"x.jpg": 1})
    message = refused(tmp_path, [frame("1.jpg", size)])
    assert f"of 400 x 300 px, while 1.jpg has {size.width} x {size.height}" in message


def test_each_parameter_is_as_uncertain_as_its_kind() -> None:
    (found,) = known("350,352,201,149,-.1,.01,.002,.003", model="OPENCV", sigma=0.01)
    assert found.sigma == pytest.approx((3.52,) * 4 + (0.01,) * 4)


@pytest.mark.parametrize("sigma", [-0.1, float("nan")])
def test_sigmas_are_no_negative_numbers(sigma: float) -> None:
    with pytest.raises(ValueError, match="standard deviations"):
        PriorConfig(intrinsics_sigma=sigma)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    assert "no COLMAP model there" in refused(tmp_path)
