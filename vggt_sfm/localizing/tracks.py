"""Tracks through new photographs, tied to the points of the model that they run over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pycolmap
from scipy.spatial import cKDTree

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.io.opened import Observed
from vggt_sfm.localizing.config import LocalizeConfig
from vggt_sfm.scene import Frame
from vggt_sfm.tracking.linking import link
from vggt_sfm.tracking.matches import VerifiedMatches, verified_matches

REFERENCE_WIDTH_PX = 518
NO_POINT = -1
# Px at 518: a feature this near to an observation of the model shows its point.
_SAME_PX = 0.75
_CONFLICT_PX = 3.0  # as in TrackConfig
_LEAST_ANGLE = np.deg2rad(1.5)  # COLMAP's, for points that are triangulated


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PointTracks:
    """M observations of N tracks, sorted by track, then frame."""

    track_index: Int64  # (M,) 0 … N-1
    frame_index: Int64  # (M,)
    xy: Float64  # (M, 2) px
    point_ids: Int64  # (N,) the model's point, or NO_POINT

    def of_frame(self, s: int) -> Int64:
        """Return the rows of a frame's observations."""
        return np.flatnonzero(self.frame_index == s)

    def of_track(self, n: int) -> Int64:
        """Return the rows of a track's observations."""
        low, high = np.searchsorted(self.track_index, [n, n + 1])
        return np.arange(low, high)


class Posed(NamedTuple):
    """A photograph whose camera is known."""

    cam_from_world: pycolmap.Rigid3d
    camera: pycolmap.Camera


class Triangulated(NamedTuple):
    """Where tracks are."""

    xyz: Float64  # (N, 3) NaN where it is not known
    inlier: Bool  # (M,) observations that agree with it


def error_px(limit: float, size: tuple[int, int]) -> float:
    """Return a limit that holds at a width of 518 px for a photograph of a size, px."""
    return limit * max(size) / REFERENCE_WIDTH_PX


def link_to_model(
    matches: VerifiedMatches, frames: Sequence[Frame], seen: Mapping[int, Observed]
) -> PointTracks:
    """Join matches to tracks, and tell which of them run over points of the model.

    Args:
        matches: Between the frames.
        frames: All photographs.
        seen: What the frames of the model see of its points, by row.
    """
    nothing = np.empty((0, 2))
    known = [seen[s].xy if s in seen else nothing for s in range(len(frames))]
    # Without matches of their own, they only give their places to the features beside them.
    of_model = verified_matches("model", known, {})
    width = np.array([error_px(1.0, frame.size) for frame in frames])
    found = link([of_model, matches], _SAME_PX * width, _CONFLICT_PX * width)
    num_tracks = int(found.track_index.max(initial=-1)) + 1
    votes = [np.empty((0, 2), np.int64)]
    for s, of_frame in seen.items():
        rows = np.flatnonzero((found.frame_index == s) & (found.source == 0))
        if len(rows):
            _, nearest = cKDTree(of_frame.xy).query(found.xy[rows])
            ids = of_frame.point_ids[nearest]
            votes.append(np.stack([found.track_index[rows], ids], axis=1))
    return PointTracks(
        track_index=found.track_index,
        frame_index=found.frame_index,
        xy=found.xy,
        point_ids=_elected(np.concatenate(votes), num_tracks),
    )


def _elected(votes: Int64, num_tracks: int) -> Int64:
    """Return the (N,) point that most of (V, 2) tracks and points name for each track."""
    named, count = np.unique(votes, axis=0, return_counts=True)
    order = np.argsort(count, kind="stable")  # the last one written stays
    ids = np.full(num_tracks, NO_POINT, np.int64)
    ids[named[order, 0]] = named[order, 1]
    return ids


def triangulate(
    tracks: PointTracks,
    frames: Sequence[Frame],
    model: pycolmap.Reconstruction,
    posed: Mapping[int, Posed],
    config: LocalizeConfig,
) -> Triangulated:
    """Place tracks: at the model's point, or where the cameras that are known see them.

    Args:
        tracks: All tracks.
        frames: All photographs.
        model: Whose points tracks name.
        posed: Photographs with a known camera, by row.
        config: Largest error, and the seed.
    """
    xyz = np.full((len(tracks.point_ids), 3), np.nan)
    inlier = np.zeros(len(tracks.xy), bool)
    named = np.flatnonzero(tracks.point_ids != NO_POINT)
    for n, point_id in zip(named.tolist(), tracks.point_ids[named].tolist(), strict=True):
        xyz[n] = model.point3D(point_id).xyz
    limits_px = np.array([error_px(config.max_error_px, frame.size) for frame in frames])
    usable = np.isin(tracks.frame_index, list(posed))
    views = np.bincount(tracks.track_index[usable], minlength=len(xyz))
    for n in np.flatnonzero((tracks.point_ids == NO_POINT) & (views >= 2)).tolist():
        rows = tracks.of_track(n)
        rows = rows[usable[rows]]
        seen_by = tracks.frame_index[rows]
        found = pycolmap.estimate_triangulation(
            tracks.xy[rows],
            [posed[s].cam_from_world for s in seen_by.tolist()],
            [posed[s].camera for s in seen_by.tolist()],
            _options(float(limits_px[seen_by].max()), config.seed),
        )
        if found is not None:
            xyz[n], inlier[rows] = found["xyz"], found["inliers"]
    return Triangulated(xyz, inlier)


def _options(max_error_px: float, seed: int) -> pycolmap.EstimateTriangulationOptions:
    options = pycolmap.EstimateTriangulationOptions()
    options.residual_type = pycolmap.TriangulationResidualType.REPROJECTION_ERROR
    options.min_tri_angle = _LEAST_ANGLE
    options.ransac.max_error = max_error_px
    options.ransac.random_seed = seed
    return options
