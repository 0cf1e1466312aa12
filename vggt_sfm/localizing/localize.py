"""Finds the poses of new photographs in a model, one round after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pycolmap

from vggt_sfm._checks import Int64
from vggt_sfm._log import Progress
from vggt_sfm.localizing.cameras import Cameras
from vggt_sfm.localizing.config import LocalizeConfig
from vggt_sfm.localizing.poses import PointsSeen, Pose, estimate_pose
from vggt_sfm.localizing.tracks import PointTracks, Posed, Triangulated, error_px, triangulate
from vggt_sfm.scene import Frame

_NO_MATCHES = "too few matches: none that one geometry explains with any other photograph"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Photographs:
    """Photographs of a model, then new ones."""

    frames: tuple[Frame, ...]
    image_ids: tuple[int, ...]
    """Of the model's images, in the order of the first frames."""

    @property
    def first_new(self) -> int:
        """Row of the first new photograph."""
        return len(self.image_ids)

    @property
    def new(self) -> range:
        """Rows of the new photographs."""
        return range(len(self.image_ids), len(self.frames))

    @property
    def old(self) -> dict[int, Frame]:
        """The model's photographs by image id."""
        return dict(zip(self.image_ids, self.frames, strict=False))

    def with_old(self, rows: Int64) -> Photographs:
        """Return the new ones with some of the old ones."""
        return Photographs(
            frames=(*(self.frames[s] for s in rows.tolist()), *self.frames[self.first_new :]),
            image_ids=tuple(self.image_ids[s] for s in rows.tolist()),
        )

    def posed(self, model: pycolmap.Reconstruction) -> dict[int, Posed]:
        """Return the cameras of the model's photographs by row."""
        images = [model.image(image_id) for image_id in self.image_ids]
        cameras = [model.camera(image.camera_id) for image in images]
        return {
            s: Posed(image.cam_from_world(), camera)
            for s, (image, camera) in enumerate(zip(images, cameras, strict=True))
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one new photograph."""

    matched: int
    """Its features that other photographs show too."""
    points: int
    """Those whose place in the model is known."""
    pose: Pose | None = None
    reason: str = ""
    """Why it has no pose; empty where it has one."""


def localize(
    model: pycolmap.Reconstruction,
    photos: Photographs,
    tracks: PointTracks,
    config: LocalizeConfig,
    progress: Progress,
) -> list[Outcome]:
    """Find the poses of new photographs.

    In every round those with a pose place more tracks, which may give others theirs.

    Args:
        model: The model, unchanged.
        photos: Its photographs and the new ones.
        tracks: Through all of them.
        config: What is enough.
        progress: Counts attempts.

    Returns:
        What became of each new photograph. Cameras that are not of the model have ids that go on
        after its own.
    """
    cameras = Cameras(model, photos.old, [photos.frames[s] for s in photos.new])
    posed = photos.posed(model)
    next_id = max([*model.cameras, *model.rigs]) + 1
    outcomes: dict[int, Outcome] = {}
    waiting = list(photos.new)
    with progress.task("register", None) as task:
        while waiting:
            places = triangulate(tracks, photos.frames, model, posed, config)
            seen = {s: _points_seen(tracks, places, s) for s in waiting}
            for s in sorted(waiting, key=lambda s: (-len(seen[s].xy), s)):
                matched = len(tracks.of_frame(s))
                outcome = _attempt(photos.frames[s], seen[s], cameras, config)
                outcomes[s] = replace(
                    outcome, matched=matched, reason=outcome.reason if matched else _NO_MATCHES
                )
                if outcome.pose is not None:
                    if outcome.pose.camera.camera_id == pycolmap.INVALID_CAMERA_ID:
                        outcome.pose.camera.camera_id = next_id
                        next_id += 1
                    cameras.add(photos.frames[s], outcome.pose.camera)
                    posed[s] = Posed(outcome.pose.cam_from_world, outcome.pose.camera)
                task.advance()
            left = [s for s in waiting if s not in posed]
            waiting = left if len(left) < len(waiting) else []
    return [outcomes[s] for s in photos.new]


def _points_seen(tracks: PointTracks, places: Triangulated, s: int) -> PointsSeen:
    rows = tracks.of_frame(s)
    xyz = places.xyz[tracks.track_index[rows]]
    known = np.isfinite(xyz).all(axis=1)
    return PointsSeen(xy=tracks.xy[rows[known]], xyz=xyz[known])


def _attempt(frame: Frame, seen: PointsSeen, cameras: Cameras, config: LocalizeConfig) -> Outcome:
    """Try cameras until one fits; the reason why none does is that of the likeliest one."""
    reason = ""
    for lens in cameras.lenses(frame):
        found = estimate_pose(seen, lens, error_px(config.max_error_px, frame.size), config)
        if isinstance(found, Pose):
            return Outcome(matched=0, points=len(seen.xy), pose=found)
        reason = reason or found
    return Outcome(matched=0, points=len(seen.xy), reason=reason)
