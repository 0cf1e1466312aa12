"""Cameras of all frames from the relative poses of pairs, and their common refinement."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.models.tiny.directions import redirected
from vggt_sfm.models.tiny.joining import (
    average_rotations,
    camera_centers,
    edge_scales,
    main_component,
)
from vggt_sfm.models.tiny.joint import Cameras, JointProblem, fundamental_matrices
from vggt_sfm.models.tiny.relative import (
    ITERATIONS,
    Edge,
    epipolar_lines,
    homogeneous,
    relative_pose,
)
from vggt_sfm.models.tiny.two_view_depth import depths_by_frame
from vggt_sfm.scene import Matches

MIN_EDGE_MATCHES = 20
_MAX_ROTATION_RESIDUAL_DEG = 12.0
_LEAST_FRAMES = 3  # of one camera, that tell anything about its lens
_MISFIT_UNIT_PX, _MISFIT_MOST_PX = 0.15, 2.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Joined:
    """Cameras of S frames, as far as the matches reach; the others are at the origin."""

    cam_from_world: Float64  # (S, 3, 4)
    intrinsics: Float64  # (S, 3, 3) network px
    edges: tuple[Edge, ...]
    """The pairs that the cameras were joined from; they are in one piece."""
    measured: frozenset[int]
    """Frames whose distance from others the matches tell."""

    @property
    def reached(self) -> list[int]:
        """Frames that have a camera, ascending."""
        return sorted({s for e in self.edges for s in (e.i, e.j)})


def join(matches: Matches, intrinsics: Float64, iterations: int = ITERATIONS) -> Joined:
    """Estimate the relative poses of pairs and give all frames their place.

    Args:
        matches: The model's matches, network px.
        intrinsics: (S, 3, 3) network px.
        iterations: At most, of the robust estimation of each pair.
    """
    frames = len(intrinsics)
    poses = np.tile(np.eye(3, 4), (frames, 1, 1))
    edges = _edges(matches, intrinsics, iterations)
    measured = set[int]()
    if edges:
        edges, rotations = _consistent_rotations(edges, frames)
        edges = redirected(edges, rotations, intrinsics)
        scales = edge_scales(depths_by_frame(edges, intrinsics, frames), len(edges))
        edges, scales, measured = _reaching_edges(edges, scales)
        kept = main_component(edges, frames)
        centers = camera_centers(edges, scales, rotations)
        edges = [e for e in edges if e.i in kept]
        poses[kept] = _poses(rotations[kept], centers[kept])
    return Joined(
        cam_from_world=poses,
        intrinsics=intrinsics,
        edges=tuple(edges),
        measured=frozenset(measured),
    )


def refine(joined: Joined, cameras: Int64, known: Bool) -> Joined:
    """Fit all cameras to all matches at once.

    Args:
        joined: Cameras as they were joined.
        cameras: (S,) numbers of the frames' cameras.
        known: (S,) whose focal length is known and stays.

    Returns:
        Better cameras; the same ones where some lens is neither known nor told by several frames.
    """
    reached = joined.reached
    if not reached:
        return joined
    row = {frame: k for k, frame in enumerate(reached)}
    _, camera = np.unique(cameras[reached], return_inverse=True)
    several = len(reached) >= _LEAST_FRAMES
    free = np.bincount(camera) >= _LEAST_FRAMES
    free[camera[known[reached]]] = False
    if several and not (free[camera] | known[reached]).all():
        return joined  # a few wrong pairs would bend focal lengths, and wrong ones would bend all
    problem = JointProblem(
        [replace(e, i=row[e.i], j=row[e.j]) for e in joined.edges],
        joined.intrinsics[reached],
        camera,
        free_focal=free,
        free_center=several,
    )
    begun = joined.cam_from_world[reached]
    found = problem.solve(
        Cameras(
            rotations=begun[:, :, :3],
            centers=invert(begun)[:, :, 3],
            log_focal=np.zeros(len(free)),
            shift=np.zeros((len(free), 2)),
        )
    )
    poses, intrinsics = joined.cam_from_world.copy(), joined.intrinsics.copy()
    poses[reached] = _poses(found.rotations, found.centers)
    intrinsics[reached] = problem.intrinsics(found)
    return replace(joined, cam_from_world=poses, intrinsics=intrinsics)


def misfit(matches: Matches, found: Joined) -> float:
    """How badly cameras fit matches: the mean over all of a robust cost, from 0.

    Args:
        matches: Of the frames, network px.
        found: Cameras; the matches of frames without one count as wrong.
    """
    reached = set(found.reached)
    F = fundamental_matrices(found.cam_from_world, found.intrinsics, matches.pairs)
    cost = [np.empty(0)]
    for p, (i, j) in enumerate(matches.pairs.tolist()):
        xy, _ = matches.of_pair(p)
        distance = np.full(len(xy), _MISFIT_MOST_PX)
        if {i, j} <= reached:
            sides = xy.astype(np.float64).reshape(-1, 2, 2)
            distance, _, _ = epipolar_lines(
                F[p], homogeneous(sides[:, 0]), homogeneous(sides[:, 1])
            )
        capped = np.minimum(np.abs(distance), _MISFIT_MOST_PX)
        cost.append(np.log1p((capped / _MISFIT_UNIT_PX) ** 2))
    values = np.concatenate(cost)
    return float(values.mean()) if len(values) else 0.0


def _poses(R: Float64, centers: Float64) -> Float64:
    """(S, 3, 4) cam_from_world of cameras at (S, 3) centres."""
    return np.concatenate([R, -R @ centers[:, :, None]], axis=2)


def _edges(matches: Matches, intrinsics: Float64, iterations: int) -> list[Edge]:
    edges = []
    for p, (i, j) in enumerate(matches.pairs.tolist()):
        xy, confidence = matches.of_pair(p)
        edge = relative_pose(i, j, xy, confidence, intrinsics[i], intrinsics[j], iterations)
        if edge is not None and edge.weight >= MIN_EDGE_MATCHES:
            edges.append(edge)
    return edges


def _consistent_rotations(edges: list[Edge], frames: int) -> tuple[list[Edge], Float64]:
    """Average the rotations of the main component, twice: the second time without misfits."""
    for _ in range(2):
        main = set(main_component(edges, frames).tolist())
        edges = [e for e in edges if e.i in main]
        rotations = average_rotations(edges, frames)
        kept = [e for e in edges if _residual_deg(e, rotations) < _MAX_ROTATION_RESIDUAL_DEG]
        if len(kept) == len(edges):
            break
        edges = kept or edges
    main = set(main_component(edges, frames).tolist())
    return [e for e in edges if e.i in main], rotations


def _reaching_edges(edges: list[Edge], scales: Float64) -> tuple[list[Edge], Float64, set[int]]:
    """Keep pairs of known scale, and those of unknown scale that alone reach some frame.

    Returns:
        The edges, their scales (unknown ones get the usual length) and the frames that edges of
        known scale reach.
    """
    known = np.isfinite(scales)
    measured = {f for e, k in zip(edges, known, strict=True) if k for f in (e.i, e.j)}
    keep = [n for n, e in enumerate(edges) if known[n] or not {e.i, e.j} <= measured]
    usual = float(np.median(scales[known]))
    return [edges[n] for n in keep], np.where(known, scales, usual)[keep], measured


def _residual_deg(edge: Edge, rotations: Float64) -> float:
    error = rotations[edge.j].T @ edge.rotation @ rotations[edge.i]
    return float(np.rad2deg(Rotation.from_matrix(error).magnitude()))
