"""Positions in EXIF data, and what cameras write that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, TiffImagePlugin

from vggt_sfm.io.gps import gps_position
from vggt_sfm.io.hdf5 import load, save
from vggt_sfm.io.images import ImageFile, read_frame
from vggt_sfm.scene import GpsPosition, PixelMap, Scene, Size

Ratio = TiffImagePlugin.IFDRational
Tag = ExifTags.GPS

ZURICH: dict[int, Any] = {
    Tag.GPSLatitudeRef: "N",
    Tag.GPSLatitude: (Ratio(47), Ratio(22), Ratio(3600, 100)),
    Tag.GPSLongitudeRef: "E",
    Tag.GPSLongitude: (Ratio(8), Ratio(32), Ratio(30)),
    Tag.GPSAltitudeRef: b"\x00",
    Tag.GPSAltitude: Ratio(4085, 10),
    Tag.GPSHPositioningError: Ratio(47, 10),
}


def _exif(**changes: Any) -> Image.Exif:
    exif = Image.Exif()
    table = ZURICH | {Tag[name]: value for name, value in changes.items()}
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {tag: value for tag, value in table.items() if value is not None}
    )
    return exif


def test_degrees_minutes_and_seconds_are_put_together() -> None:
    found = gps_position(_exif())
    assert found is not None
    assert found.latitude_deg == pytest.approx(47 + 22 / 60 + 36 / 3600, abs=1e-12)
    assert found.longitude_deg == pytest.approx(8 + 32 / 60 + 30 / 3600, abs=1e-12)
    assert (found.altitude_m, found.sigma_m) == (408.5, 4.7)


def test_hemispheres_and_heights_below_the_sea_are_negative() -> None:
    found = gps_position(_exif(GPSLatitudeRef="S\0", GPSLongitudeRef=b"w", GPSAltitudeRef=b"\x01"))
    assert found is not None
    assert found.latitude_deg < -47
    assert found.longitude_deg < -8
    assert found.altitude_m == -408.5


@pytest.mark.parametrize(
    "changes",
    [
        {"GPSLatitude": None},
        {"GPSLatitudeRef": None},
        {"GPSLongitudeRef": ""},
        {"GPSLatitudeRef": "NS"},
        {"GPSLatitudeRef": "E"},
        {"GPSLatitude": (Ratio(0, 0), Ratio(0, 0), Ratio(0, 0))},
        {"GPSLatitude": (Ratio(47), Ratio(22), Ratio(0, 0))},
        {"GPSLatitude": (91, 0, 0)},
        {"GPSLongitude": (180, 0, 1)},
        {"GPSLatitude": (47, 61, 0)},
        {"GPSLatitude": (47, -1, 0)},
        {"GPSLatitude": (float("nan"), 0, 0)},
        {"GPSLatitude": (1, 2, 3, 4)},
        {"GPSLatitude": ()},
        {"GPSLatitude": "47 degrees"},
        {"GPSLatitude": b"\xff\xfe"},
        {"GPSStatus": "V"},
        {"GPSLatitude": (0, 0, 0), "GPSLongitude": (0, 0, 0)},
    ],
)
def test_a_position_that_cannot_be_is_none(changes: dict[str, Any]) -> None:
    assert gps_position(_exif(**changes)) is None


@pytest.mark.parametrize(
    ("changes", "altitude", "sigma"),
    [
        ({"GPSAltitude": Ratio(0, 0)}, None, 4.7),
        ({"GPSAltitude": "high"}, None, 4.7),
        ({"GPSAltitude": 1e9}, None, 4.7),
        ({"GPSAltitudeRef": b""}, 408.5, 4.7),
        ({"GPSHPositioningError": 0}, 408.5, None),
        ({"GPSHPositioningError": Ratio(-1, 0)}, 408.5, None),
        ({"GPSAltitude": None, "GPSHPositioningError": None}, None, None),
    ],
)
def test_nonsense_beside_a_position_does_not_cost_it(
    changes: dict[str, Any], altitude: float | None, sigma: float | None
) -> None:
    found = gps_position(_exif(**changes))
    assert found is not None
    assert (found.altitude_m, found.sigma_m) == (altitude, sigma)


def test_the_equator_is_a_place() -> None:
    found = gps_position(_exif(GPSLatitude=(0, 0, 0)))
    assert found is not None
    assert found.latitude_deg == 0


@given(
    st.dictionaries(
        st.sampled_from(list(Tag)),
        st.none()
        | st.floats()
        | st.text(max_size=3)
        | st.binary(max_size=3)
        | st.tuples(st.floats(), st.integers(), st.text(max_size=2)),
    )
)
def test_whatever_the_tags_say_a_position_is_on_earth(tags: dict[int, Any]) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(ZURICH | tags)
    found = gps_position(exif)
    if found is not None:
        assert abs(found.latitude_deg) <= 90
        assert abs(found.longitude_deg) <= 180
        assert found.sigma_m is None or found.sigma_m > 0


def _photo(folder: Path, exif: Image.Exif | bytes) -> ImageFile:
    path = folder / "a.jpg"
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(path, exif=exif)
    return ImageFile(name=path.name, path=path)


def test_a_photograph_says_where_it_was_taken_and_the_store_keeps_it(tmp_path: Path) -> None:
    frame = read_frame(_photo(tmp_path, _exif()))
    assert frame.gps is not None
    assert frame.gps.latitude_deg == pytest.approx(47.37666667)
    size = Size(8, 6)
    one = PixelMap(original=size, network=size, scale=(1.0, 1.0), offset=(0.0, 0.0))
    scene = Scene(frames=(frame,), pixel_maps=(one,))
    save(tmp_path / "scene.h5", scene, {})
    assert load(tmp_path / "scene.h5", Scene) == scene


def test_a_photograph_without_position_says_none(tmp_path: Path) -> None:
    assert read_frame(_photo(tmp_path, Image.Exif())).gps is None


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of the damage
def test_a_damaged_table_costs_the_position_and_not_the_photograph(tmp_path: Path) -> None:
    whole = _exif().tobytes()
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        damaged = bytearray(whole)
        # behind the header and the entry that leads to the table
        damaged[rng.integers(30, len(whole))] = rng.integers(256)
        found.append(read_frame(_photo(tmp_path, bytes(damaged))).gps)
    assert None in found
    assert any(isinstance(one, GpsPosition) for one in found)
