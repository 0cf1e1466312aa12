"""Matches of a COLMAP database that somebody has made already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64, Int64
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.orientation import turn_points
from vggt_sfm.scene import Frame, Scene, Size
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.database_file import opened_database
from vggt_sfm.tracking.masks import ReadMask, no_mask, on_usable_pixels
from vggt_sfm.tracking.matches import VerifiedMatches
from vggt_sfm.tracking.verification import verified_rows

_logger = get_logger(__name__)

_NAMES_SHOWN = 3
_UNUSABLE = (
    pycolmap.TwoViewGeometryConfiguration.DEGENERATE,
    pycolmap.TwoViewGeometryConfiguration.WATERMARK,
)


class _Points(NamedTuple):
    image_id: int  # in the database
    positions: Float64  # (U, 2) the distinct x, y, original px
    # (K,) row in ``positions`` of each keypoint; -1 where it is not in the photo or masked
    position_of: Int64


class DatabaseSource:
    """Matches of the database that ``config.database`` names, which is only read.

    Pairs with a two-view geometry are taken as they are; where there are only raw matches, they
    are verified. Keypoints on masked pixels do not count.
    """

    name = "database"

    def __init__(self, config: TrackConfig, path: Path, read_mask: ReadMask = no_mask) -> None:
        self._config = config
        self._path = path
        self._read_mask = read_mask

    def match(self, scene: Scene, pairs: Int64, progress: Progress) -> VerifiedMatches:
        """Read the matches of the pairs that are asked for.

        Args:
            scene: Frames, found in the database by name, or by a base name that only one has.
            pairs: (P, 2) frame indices, first < second.
            progress: Counts pairs.

        Returns:
            Verified matches of the pairs that have any.

        Raises:
            InputError: If the file is no COLMAP database, is damaged, or knows none of the frames.
        """
        verified: dict[tuple[int, int], Int64] = {}
        with (
            opened_database(self._path) as (database, is_upright),
            progress.task("database", len(pairs)) as task,
        ):
            points = self._points(database, scene.frames, is_upright)
            for i, j in pairs.tolist():
                if i in points and j in points:
                    rows = self._rows(database, scene.frames, points, (i, j))
                    if len(rows):
                        verified[i, j] = rows
                task.advance()
        _logger.info(
            "database: %d of %d images, %d of %d pairs",
            len(points),
            len(scene.frames),
            len(verified),
            len(pairs),
        )
        nothing = np.empty((0, 2))
        return VerifiedMatches(
            source=self.name,
            keypoints=tuple(
                points[s].positions if s in points else nothing for s in range(len(scene.frames))
            ),
            pairs=np.array(list(verified), np.int64).reshape(-1, 2),
            matches=tuple(verified.values()),
        )

    def _points(
        self, database: pycolmap.Database, frames: Sequence[Frame], is_upright: bool
    ) -> dict[int, _Points]:
        """Return the keypoints of the frames that the database knows, by frame index."""
        images = {image.name: image for image in database.read_all_images()}
        name_of = _same_images([frame.name for frame in frames], list(images))
        if not name_of:
            raise InputError(
                f"--database {self._path}: no image in common: it has {_some(sorted(images))}, "
                f"here are {_some([frame.name for frame in frames])}"
            )
        points: dict[int, _Points] = {}
        misfits = []
        for s, name in name_of.items():
            image = images[name]
            camera = database.read_camera(image.camera_id)
            there = Size(camera.width, camera.height)
            matrix = np.asarray(database.read_keypoints(image.image_id), np.float64)
            xy = matrix[:, :2] if matrix.size else np.empty((0, 2))
            here = frames[s].size
            orientation = 1 if is_upright else frames[s].exif_orientation
            upright = _upright(xy, there, here, orientation)
            if upright is None:
                misfits.append(
                    f"{name} ({there.width} x {there.height} px, here {here.width} x {here.height})"
                )
            else:
                points[s] = self._usable(image.image_id, upright, frames[s])
        if misfits:
            _logger.warning(
                "database: %d images left out, as their shape there is another: %s",
                len(misfits),
                _some(misfits),
            )
        return points

    def _usable(self, image_id: int, xy: Float64, frame: Frame) -> _Points:
        """Put the keypoints in a photo and off its mask together, equal ones as one."""
        inside = (
            np.isfinite(xy).all(axis=1) & (xy >= 0).all(axis=1) & (xy <= frame.size).all(axis=1)
        )
        inside &= on_usable_pixels(xy, self._read_mask(frame))
        positions, position_of = np.unique(xy[inside], axis=0, return_inverse=True)
        all_of = np.full(len(xy), -1, np.int64)
        all_of[inside] = position_of.ravel()
        return _Points(image_id, positions, all_of)

    def _rows(
        self,
        database: pycolmap.Database,
        frames: Sequence[Frame],
        points: dict[int, _Points],
        pair: tuple[int, int],
    ) -> Int64:
        """Return (n, 2) rows of the verified matches of a pair."""
        first, second = (points[s] for s in pair)
        ids = first.image_id, second.image_id
        is_verified = database.exists_two_view_geometry(*ids)
        if is_verified:
            geometry = database.read_two_view_geometry(*ids)
            is_usable = geometry.config not in [int(config) for config in _UNUSABLE]
            found = np.asarray(geometry.inlier_matches if is_usable else [], np.int64)
        else:
            found = np.asarray(database.read_matches(*ids), np.int64)
        keypoints = found.reshape(-1, 2)
        counts = len(first.position_of), len(second.position_of)
        if (keypoints >= counts).any():
            raise InputError(
                f"--database {self._path}: is damaged: matches of {frames[pair[0]].name} and "
                f"{frames[pair[1]].name} lead to keypoint {tuple(keypoints.max(axis=0).tolist())}, "
                f"but there are {counts}"
            )
        rows = np.stack(
            [first.position_of[keypoints[:, 0]], second.position_of[keypoints[:, 1]]], axis=1
        )
        rows = np.unique(rows[(rows >= 0).all(axis=1)], axis=0)
        if is_verified or not len(rows):
            return rows
        kept = verified_rows(
            (first.positions[rows[:, 0]], second.positions[rows[:, 1]]),
            (frames[pair[0]].size, frames[pair[1]].size),
            max_error_px=self._config.max_error_px,
            min_inliers=self._config.min_inliers,
            seed=self._config.seed,
        )
        return rows[kept]


def _same_images(here: Sequence[str], there: Sequence[str]) -> dict[int, str]:
    """Find names again: as they are, else by the last part where only one on each side has it."""
    known = set(there)
    found = {s: name for s, name in enumerate(here) if name in known}
    taken = set(found.values())
    last_here = Counter(_last(name) for name in here)
    last_there = Counter(_last(name) for name in there)
    by_last = {_last(name): name for name in there if name not in taken}
    for s, name in enumerate(here):
        last = _last(name)
        if s not in found and last in by_last and last_here[last] == last_there[last] == 1:
            found[s] = by_last[last]
    return dict(sorted(found.items()))


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _some(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more if names else "none"


def _upright(xy: Float64, there: Size, here: Size, orientation: int) -> Float64 | None:
    """Return positions in the upright photo; None where the database's image has another shape.

    COLMAP does not turn photos: positions in an image of the file's shape are turned here.
    """
    in_file = here if orientation < 5 else Size(*reversed(here))
    if _same_shape(there, in_file):
        return turn_points(xy * in_file / np.array(there), in_file, orientation)
    return xy * here / np.array(there) if _same_shape(there, here) else None


def _same_shape(a: Size, b: Size) -> bool:
    """Say whether one is the other reduced, to within a pixel."""
    if min(*a, *b) < 1:
        return False
    small, large = sorted((a, b))
    by_width = large.height * small.width / large.width - small.height
    by_height = large.width * small.height / large.height - small.width
    return min(abs(by_width), abs(by_height)) <= 1
