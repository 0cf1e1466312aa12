"""Lists of positions: separators, columns, and messages that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggt_sfm.errors import InputError
from vggt_sfm.io.positions import LocalPosition, Position, read_positions
from vggt_sfm.scene import GpsPosition


def _read(folder: Path, text: str) -> dict[str, Position]:
    path = folder / "positions.txt"
    path.write_text(text, encoding="utf-8")
    return read_positions(path)


@pytest.mark.parametrize(
    "line",
    [
        "my photo.jpg,1,-2.5,3e1,0.5",
        "my photo.jpg, 1, -2.5, 3e1, 0.5",
        '"my photo.jpg", 1, -2.5, 3e1, 0.5',
        "my photo.jpg\t1\t-2.5\t3e1\t0.5",
        '"my photo.jpg" 1   -2.5 3e1 0.5 ',
        "name,x,y,z,sigma\nmy photo.jpg,1,-2.5,3e1,0.5",
        "Label X Y Z sigma_m\n'q' 0 0 0 1\n\"my photo.jpg\" 1 -2.5 3e1 0.5",
        "z,y,x,sigma,name\n30,-2.5,1,.5,my photo.jpg",
        "\ufeff# made by hand\n\nmy photo.jpg,1,-2.5,30,0.5\r\n",
    ],
)
def test_each_way_to_write_a_line_means_the_same(tmp_path: Path, line: str) -> None:
    found = _read(tmp_path, line)
    assert found["my photo.jpg"] == LocalPosition(x_m=1.0, y_m=-2.5, z_m=30.0, sigma_m=0.5)


def test_names_with_commas_and_folders_and_lines_without_sigma(tmp_path: Path) -> None:
    found = _read(tmp_path, 'a/b,1.jpg 1 2 3\n"c, d.jpg" 4 5 6 7\n')
    assert found == {
        "a/b,1.jpg": LocalPosition(x_m=1.0, y_m=2.0, z_m=3.0),
        "c, d.jpg": LocalPosition(x_m=4.0, y_m=5.0, z_m=6.0, sigma_m=7.0),
    }


def test_geographic_columns_in_the_order_of_metashape_and_a_missing_height(tmp_path: Path) -> None:
    found = _read(tmp_path, "label,longitude,latitude,altitude\na,8.5,47.25,400\nb,8.5,47.5,\n")
    assert found == {
        "a": GpsPosition(latitude_deg=47.25, longitude_deg=8.5, altitude_m=400.0),
        "b": GpsPosition(latitude_deg=47.5, longitude_deg=8.5),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no position"),
        ("# nothing\n", "holds no position"),
        ("name,x,y,z\n", "holds no position"),
        ("a.jpg 1 2 3\nb.jpg 1 2\n", r"line 2: expected NAME X Y Z .* got b\.jpg 1 2"),
        ("my photo.jpg 1 2 3 4", "line 1: expected .*needs quotes"),
        ("a.jpg 1 2 3 4 5", "line 1: expected"),
        ("a.jpg 1 2 three", "line 1: expected"),
        ("a.jpg 1,5 2,5 3,5", "line 1: expected"),
        (",1,2,3", "line 1: expected"),
        ('"a.jpg 1 2 3', "line 1: expected"),
        ("a.jpg 1 2 3\na.jpg 4 5 6", r"line 2: a\.jpg has a position already, in line 1"),
        ("a.jpg 1 nan 3", r"line 1: a\.jpg has y nan"),
        ("a.jpg,1,inf,3", "y inf"),
        ("a.jpg,1,,3", "no y"),
        ("a.jpg 1 2 3 0", "sigma 0, which must be positive"),
        ("a.jpg 1 2 3 -1", "sigma -1"),
        ("name,lat,lon,alt\na,91,8,400", "lat 91, which must lie within 90 degrees"),
        ("name,lat,lon,alt\na,47,181,400", "lon 181"),
        ("name,lat,lon,alt\na,47,8,400,1", "line 2: expected"),
        ("name,east,north,up\na,47,8,400", "line 1: unknown columns name, east, north, up"),
        ("name,x,x,y\na,1,2,3", "unknown columns"),
        ("name,lat,y,z\na,1,2,3", "unknown columns"),
    ],
)
def test_what_does_not_fit_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"positions\.txt.*{message}"):
        _read(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a readable list of positions"):
        read_positions(tmp_path / "none.txt")
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="not a readable list of positions"):
        read_positions(tmp_path / "photo")


_NAME = st.text("abc ,.#\"'", min_size=1, max_size=8).filter(
    lambda name: name == name.strip() and not name.lstrip('"').startswith("#")
)
_NUMBER = st.floats(-1e6, 1e6)


@given(
    rows=st.dictionaries(_NAME, st.tuples(_NUMBER, _NUMBER, _NUMBER), min_size=1), tab=st.booleans()
)
def test_quoted_names_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: dict[str, tuple[float, float, float]],
    tab: bool,
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    lines = []
    for name, numbers in rows.items():
        quoted = '"' + name.replace('"', '""') + '"'
        lines.append(("\t" if tab else ",").join([quoted, *map(repr, numbers)]))
    found = _read(folder, "\n".join(lines))
    assert found == {name: LocalPosition(x_m=x, y_m=y, z_m=z) for name, (x, y, z) in rows.items()}
