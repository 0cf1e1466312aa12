"""Writes tracks as a COLMAP database, so that COLMAP's own programs can go on from them."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64, Int64
from vggt_sfm._files import UPRIGHT_DATABASE, replacing
from vggt_sfm._groups import pairs_within
from vggt_sfm.errors import InputError
from vggt_sfm.scene import Scene, Tracks

_SIDE_FILES = ("-wal", "-shm", "-journal")
# A pose is told as the geometry of a pair if half of the pair's matches agree with it so far.
_AGREEMENT_PX = 4.0


def write_database(
    path: Path, scene: Scene, tracks: Tracks, model: pycolmap.Reconstruction
) -> None:
    """Write a COLMAP database of all tracks; equal inputs give equal bytes.

    Cameras, rigs, frames and images are those of the model, with their ids, and an image's
    keypoints are the model's 2D points in their order. Images that share tracks are a pair, whose
    matches are those tracks; its geometry is the model's relative pose where the matches agree
    with it, and otherwise left open.

    Args:
        path: Where to; an existing file is replaced.
        scene: The frames, which the model holds under their names.
        tracks: Observations, whether the adjustment kept them or not.
        model: Cameras and 2D points.

    Raises:
        OSError: If the file cannot be written.
    """
    with replacing(path) as temporary:
        _remove(temporary, "", *_SIDE_FILES)
        try:
            with pycolmap.Database.open(temporary) as database:
                _write_images(database, model)
                _write_pairs(database, scene, tracks, model)
            with closing(sqlite3.connect(temporary)) as plain:
                plain.execute("PRAGMA journal_mode = DELETE")
                plain.execute(f"PRAGMA application_id = {UPRIGHT_DATABASE}")
        except (RuntimeError, sqlite3.Error) as error:
            raise OSError(f"SQLite: {error}") from error
        finally:
            _remove(temporary, *_SIDE_FILES)
        _remove(path, *_SIDE_FILES)  # of an older file; SQLite would merge them into this one


def check_replaceable(path: Path, used: Path | None) -> None:
    """Make sure that no database of somebody else lies where one is to be written.

    Args:
        path: Where one is to be written.
        used: A database that is read in the same run.

    Raises:
        InputError: If there is that file, or one that ``write_database`` did not write.
    """
    if not path.exists():
        return
    if used is not None and used.exists() and path.samefile(used):
        raise InputError(
            f"--save-database would replace {path}, which --database reads; choose another folder "
            "with -o"
        )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as plain:
            (mark,) = plain.execute("PRAGMA application_id").fetchone()
    except sqlite3.Error:
        mark = None
    if mark != UPRIGHT_DATABASE:
        raise InputError(
            f"--save-database would replace {path}, which vggt-sfm did not write; move it, or "
            "choose another folder with -o"
        )


def _remove(path: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _write_images(database: pycolmap.Database, model: pycolmap.Reconstruction) -> None:
    for _, camera in sorted(model.cameras.items()):
        database.write_camera(camera, use_camera_id=True)
    for _, rig in sorted(model.rigs.items()):
        database.write_rig(rig, use_rig_id=True)
    for _, frame in sorted(model.frames.items()):
        database.write_frame(frame, use_frame_id=True)
    for image_id, image in sorted(model.images.items()):
        database.write_image(image, use_image_id=True)
        database.write_keypoints(image_id, _points2d(image).astype(np.float32))


def _write_pairs(
    database: pycolmap.Database, scene: Scene, tracks: Tracks, model: pycolmap.Reconstruction
) -> None:
    image_of = {image.name: image_id for image_id, image in model.images.items()}
    points = {image_id: _points2d(image) for image_id, image in model.images.items()}
    ids = np.array([image_of[frame.name] for frame in scene.frames], np.int64)
    point2d_of = np.full(len(tracks.xy), -1, np.int64)
    for s, image_id in enumerate(ids.tolist()):
        mine = np.flatnonzero(tracks.frame_index == s)
        point2d_of[mine] = _same_positions(tracks.xy[mine], points[image_id])
    known = point2d_of >= 0
    images = ids[tracks.frame_index[known]]
    for (i, j), rows in _common(tracks.track_index[known], images, point2d_of[known]):
        matches = rows.astype(np.uint32)
        database.write_matches(i, j, matches)
        geometry = _geometry(model, (i, j), (points[i][rows[:, 0]], points[j][rows[:, 1]]))
        geometry.inlier_matches = matches
        database.write_two_view_geometry(i, j, geometry)


def _points2d(image: pycolmap.Image) -> Float64:
    return np.array([point.xy for point in image.points2D], np.float64).reshape(-1, 2)


def _same_positions(xy: Float64, among: Float64) -> Int64:
    """Return for each position the row of the same one; -1 where there is none, or none left."""
    rows: defaultdict[tuple[float, float], list[int]] = defaultdict(list)
    for row in range(len(among) - 1, -1, -1):
        rows[tuple(among[row])].append(row)
    return np.array([rows[key].pop() if rows[key] else -1 for key in map(tuple, xy)], np.int64)


def _common(track: Int64, image: Int64, point2d: Int64) -> Iterator[tuple[tuple[int, int], Int64]]:
    """Yield every pair of images that share tracks, with (n, 2) rows of their 2D points.

    Args:
        track: (M,) ascending.
        image: (M,) image ids, the same at most once a track.
        point2d: (M,) 2D point of the image.
    """
    first, second = pairs_within(track)
    order = np.lexsort((first, image[second], image[first]))
    first, second = first[order], second[order]
    pairs = np.stack([image[first], image[second]], axis=1)
    starts = np.flatnonzero((np.diff(pairs, axis=0, prepend=-1) != 0).any(axis=1))
    for start, end in pairwise([*starts.tolist(), len(pairs)]):
        i, j = pairs[start].tolist()
        rows = np.stack([point2d[first[start:end]], point2d[second[start:end]]], axis=1)
        yield (i, j), rows


def _geometry(
    model: pycolmap.Reconstruction, pair: tuple[int, int], xy: tuple[Float64, Float64]
) -> pycolmap.TwoViewGeometry:
    """Return the model's relative pose as a geometry, or one without matrices."""
    geometry = pycolmap.TwoViewGeometry()
    geometry.config = pycolmap.TwoViewGeometryConfiguration.UNCALIBRATED
    first, second = (model.image(image_id) for image_id in pair)
    if not (first.has_pose and second.has_pose):
        return geometry
    second_from_first = second.cam_from_world() * first.cam_from_world().inverse()
    if not np.linalg.norm(second_from_first.translation) > 0:
        return geometry
    essential = pycolmap.essential_matrix_from_pose(second_from_first)
    cameras = [model.camera(image.camera_id) for image in (first, second)]
    first_ray, second_ray = (
        np.asarray(camera.cam_from_img(points), np.float64)
        for camera, points in zip(cameras, xy, strict=True)
    )
    focal = min(camera.mean_focal_length() for camera in cameras)
    if focal * _epipolar_distance(essential, first_ray, second_ray) <= _AGREEMENT_PX:
        geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
        geometry.cam2_from_cam1 = second_from_first
        geometry.E = essential
        first_inverse, second_inverse = (np.linalg.inv(c.calibration_matrix()) for c in cameras)
        geometry.F = second_inverse.T @ essential @ first_inverse
    return geometry


def _epipolar_distance(essential: Float64, first: Float64, second: Float64) -> float:
    """Return the median distance of (n, 2) points from their epipolar lines, at focal length 1."""
    a, b = (np.column_stack([xy, np.ones(len(xy))]) for xy in (first, second))
    lines_b, lines_a = a @ essential.T, b @ essential
    length = np.hypot(*lines_a[:, :2].T) + np.hypot(*lines_b[:, :2].T)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = 2 * np.abs((lines_b * b).sum(axis=1)) / length
    return float(np.median(np.where(np.isfinite(distance), distance, np.inf)))
