"""Matches from databases: pycolmap's, old ones, and those that are none."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import photos
import pycolmap
import pytest
from numpy.typing import NDArray
from PIL import Image
from synthetic import plain_scene, synthetic_scene

from vggt_sfm._files import UPRIGHT_DATABASE
from vggt_sfm._log import SilentProgress
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.orientation import turn_points
from vggt_sfm.scene import Scene, Size
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.matches import VerifiedMatches
from vggt_sfm.tracking.sources.database import DatabaseSource

Array = NDArray[np.float64]
Rows = Sequence[tuple[int, int]]
SIZE = Size(400, 300)
XY = np.array([[30.0, 20.0], [50.5, 60.25], [200.0, 100.0], [10.0, 290.0]])
UNCALIBRATED = pycolmap.TwoViewGeometryConfiguration.UNCALIBRATED


def write(
    path: Path,
    xy: Sequence[Array],
    *,
    names: Sequence[str] = ("000.png", "001.png", "002.png"),
    size: Size = SIZE,
    raw: Mapping[tuple[int, int], Rows] | None = None,
    verified: Mapping[tuple[int, int], Rows] | None = None,
    config: pycolmap.TwoViewGeometryConfiguration = UNCALIBRATED,
) -> Path:
    """Write a database whose images are numbered backwards, so that pairs lie swapped in it."""
    with pycolmap.Database.open(path) as database:
        camera = pycolmap.Camera(
            model="SIMPLE_PINHOLE", width=size.width, height=size.height, params=[400, 200, 150]
        )
        camera_id = database.write_camera(camera)
        for s, points in enumerate(xy):
            image = pycolmap.Image(name=names[s], camera_id=camera_id, image_id=9 - s)
            database.write_image(image, use_image_id=True)
            database.write_keypoints(9 - s, points.astype(np.float32))
        for (i, j), rows in (raw or {}).items():
            database.write_matches(9 - i, 9 - j, np.array(rows, np.uint32))
        for (i, j), rows in (verified or {}).items():
            geometry = pycolmap.TwoViewGeometry()
            geometry.config = config
            geometry.inlier_matches = np.array(rows, np.uint32).reshape(-1, 2)
            database.write_two_view_geometry(9 - i, 9 - j, geometry)
    return path


def match(path: Path, scene: Scene | None = None) -> VerifiedMatches:
    scene = scene or plain_scene(3, SIZE)
    pairs = np.stack(np.triu_indices(len(scene.frames), k=1), axis=1).astype(np.int64)
    return DatabaseSource(TrackConfig(), path).match(scene, pairs, SilentProgress())


def matched_xy(verified: VerifiedMatches, p: int = 0) -> Array:
    """Return the (n, 4) matched positions of a pair, in the order of the first image."""
    i, j = verified.pairs[p]
    rows = verified.matches[p]
    return np.column_stack([verified.keypoints[i][rows[:, 0]], verified.keypoints[j][rows[:, 1]]])


def turned_scene(orientation: int, size: Size = SIZE) -> Scene:
    scene = plain_scene(3, size)
    frames = tuple(replace(frame, exif_orientation=orientation) for frame in scene.frames)
    return replace(scene, frames=frames)


def test_pairs_with_a_geometry_are_taken_as_they_are(tmp_path: Path) -> None:
    rows = [(0, 1), (1, 0), (2, 2)]
    every = [(k, k) for k in range(4)]
    path = write(tmp_path / "d.db", [XY, XY + 1, XY], raw={(0, 1): every}, verified={(0, 1): rows})
    verified = match(path)
    np.testing.assert_array_equal(verified.pairs, [[0, 1]])
    expected = [[*XY[a], *(XY[b] + 1)] for a, b in rows]
    assert sorted(matched_xy(verified).tolist()) == sorted(np.array(expected).tolist())
    assert verified.source == "database"


def test_raw_matches_are_verified_unless_the_pair_was_rejected_before(tmp_path: Path) -> None:
    data = synthetic_scene(num_frames=3, num_points=80)
    rows = [data.tracks.frame_index == s for s in range(3)]
    xy = [data.tracks.xy[mine] for mine in rows]
    track = [data.tracks.track_index[mine] for mine in rows]
    first, second = np.intersect1d(track[0], track[1], return_indices=True)[1:]
    good = list(zip(first.tolist(), second.tolist(), strict=True))
    bad = list(zip(first[:20].tolist(), second[20:40].tolist(), strict=True))
    geometry: dict[tuple[int, int], Rows] = {(0, 2): []}
    path = write(tmp_path / "d.db", xy, raw={(0, 1): good + bad, (0, 2): good}, verified=geometry)
    verified = match(path)
    np.testing.assert_array_equal(verified.pairs, [[0, 1]])
    found = {tuple(row) for row in np.round(matched_xy(verified), 3).tolist()}
    right = {tuple(np.round([*xy[0][a], *xy[1][b]], 3).tolist()) for a, b in good}
    assert len(found & right) > 0.9 * len(right)
    assert len(found - right) <= 2  # on the epipolar line by chance


@pytest.mark.parametrize("config", ["WATERMARK", "DEGENERATE"])
def test_a_geometry_of_points_that_stand_still_is_none(tmp_path: Path, config: str) -> None:
    kind = pycolmap.TwoViewGeometryConfiguration.__members__[config]
    path = write(tmp_path / "d.db", [XY, XY], verified={(0, 1): [(0, 0)]}, config=kind)
    assert not len(match(path).pairs)


def test_points_at_one_place_are_one_and_those_outside_none(tmp_path: Path) -> None:
    outside = np.array([[-0.1, 5.0], [400.1, 5.0], [np.nan, 5.0]])
    twice = np.concatenate([XY, XY[:1], outside])
    rows = [(0, 0), (4, 0), (4, 1), (5, 2), (6, 2), (7, 2), (3, 3)]
    verified = match(write(tmp_path / "d.db", [twice, XY], verified={(0, 1): rows}))
    assert len(verified.keypoints[0]) == 4
    expected = [[*XY[0], *XY[0]], [*XY[0], *XY[1]], [*XY[3], *XY[3]]]
    assert sorted(matched_xy(verified).tolist()) == sorted(np.array(expected).tolist())


def test_names_are_found_by_their_last_part_where_only_one_has_it(tmp_path: Path) -> None:
    scene = plain_scene(4, SIZE)
    names = ("a/x.jpg", "b/x.jpg", "c/y.jpg", "z.jpg")
    frames = tuple(replace(f, name=n) for f, n in zip(scene.frames, names, strict=True))
    there = ("z.jpg", "photos/y.jpg", "x.jpg")
    everything = {(0, 1): [(0, 0)], (0, 2): [(1, 1)], (1, 2): [(2, 2)]}
    path = write(tmp_path / "d.db", [XY, XY, XY], names=there, verified=everything)
    verified = match(path, replace(scene, frames=frames))
    np.testing.assert_array_equal(verified.pairs, [[2, 3]])  # x.jpg could be either


def test_reduced_images_are_scaled_and_others_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {(0, 1): [(1, 1)]}
    half = write(tmp_path / "half.db", [XY / 2, XY / 2], size=Size(200, 151), verified=rows)
    np.testing.assert_allclose(matched_xy(match(half))[0, :2], XY[1] * [1, 300 / 302], rtol=1e-6)
    assert "left out" not in caplog.text
    cut = write(tmp_path / "cut.db", [XY, XY], size=Size(400, 290), verified=rows)
    assert not len(match(cut).pairs)
    assert "2 images left out" in caplog.text
    assert "000.png (400 x 290 px, here 400 x 300)" in caplog.text


def test_colmap_does_not_turn_photographs(tmp_path: Path) -> None:
    """The fact of pycolmap that the next test and the source rely on."""
    (tmp_path / "images").mkdir()
    exif = Image.Exif()
    exif[274] = 6
    pixels = photos.render(photos.views(1)[0])
    Image.fromarray(pixels).save(tmp_path / "images" / "a.jpg", exif=exif)
    pycolmap.extract_features(tmp_path / "d.db", tmp_path / "images", device=pycolmap.Device.cpu)
    with pycolmap.Database.open(tmp_path / "d.db") as database:
        camera = database.read_camera(1)
        assert database.read_keypoints(1)[:, 0].max() > 240
    assert (camera.width, camera.height) == (320, 240)


@pytest.mark.parametrize("orientation", [3, 6])
def test_positions_in_photographs_of_the_files_shape_are_turned(
    tmp_path: Path, orientation: int
) -> None:
    upright = SIZE if orientation < 5 else Size(300, 400)
    scene = turned_scene(orientation, upright)
    path = write(tmp_path / "d.db", [XY, XY], verified={(0, 1): [(1, 1)]})
    expected = turn_points(XY[1], SIZE, orientation)
    np.testing.assert_allclose(matched_xy(match(path, scene))[0, :2], expected, rtol=1e-6)
    own = write(tmp_path / "own.db", [XY[:3]] * 2, size=upright, verified={(0, 1): [(1, 1)]})
    with closing(sqlite3.connect(own)) as database:
        database.execute(f"PRAGMA application_id = {UPRIGHT_DATABASE}")
    np.testing.assert_array_equal(matched_xy(match(own, scene))[0, :2], XY[1])


def test_the_file_of_an_old_program_is_read_and_stays_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "d.db", [XY, XY], verified={(0, 1): [(1, 1)]})
    with closing(sqlite3.connect(path)) as database:
        for table in ("pose_priors", "rigs", "rig_sensors", "frames", "frame_data"):
            database.execute(f"DROP TABLE {table}")
        database.execute("ALTER TABLE two_view_geometries DROP COLUMN qvec")
        database.execute("ALTER TABLE two_view_geometries DROP COLUMN tvec")
        database.execute("PRAGMA user_version = 3600")
        database.commit()
    before = path.read_bytes()
    path.chmod(0o444)
    assert len(match(path).matches[0]) == 1
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_another_program_has_yet_to_merge_is_read_too(tmp_path: Path) -> None:
    path = write(tmp_path / "d.db", [XY, XY], verified={(0, 1): [(1, 1)]})
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("PRAGMA wal_autocheckpoint = 0")
        other.execute("UPDATE images SET name = 'gone.png' WHERE name = '000.png'")
        other.commit()
        assert (tmp_path / "d.db-wal").stat().st_size > 0
        assert not len(match(path).pairs)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        (b"hello" * 1000, "is no COLMAP database: file is not a database"),
        (b"", "is no COLMAP database: has no table cameras, images"),
    ],
)
def test_a_file_that_is_no_database_is_named(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / "d.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"--database .*d\.db: {complaint}"):
        match(path)


def test_foreign_or_damaged_content_is_an_input_error(tmp_path: Path) -> None:
    foreign = write(tmp_path / "foreign.db", [XY] * 2, names=("x.jpg", "y.jpg"))
    with pytest.raises(InputError, match=r"it has x\.jpg, y\.jpg, here are 000\.png, 001\.png, "):
        match(foreign)
    damaged = write(tmp_path / "damaged.db", [XY] * 2, verified={(0, 1): [(1, 4)]})
    with pytest.raises(InputError, match=r"is damaged: matches of 000\.png and 001\.png"):
        match(damaged)
    with closing(sqlite3.connect(damaged)) as database:
        database.execute("UPDATE keypoints SET data = x'00'")
        database.commit()
    with pytest.raises(InputError, match=r"damaged\.db: cannot be read"):
        match(damaged)
