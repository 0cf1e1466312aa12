"""Cameras and sparse depth of a scene from the matches of its pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float32, Float64
from vggt_sfm.models.tiny.directions import redirected
from vggt_sfm.models.tiny.focal import EpipolarPair, focal_ratios
from vggt_sfm.models.tiny.joining import (
    average_rotations,
    camera_centers,
    edge_scales,
    main_component,
)
from vggt_sfm.models.tiny.network import COARSE
from vggt_sfm.models.tiny.polish import polish
from vggt_sfm.models.tiny.relative import (
    Edge,
    fundamental_matrix,
    normalized,
    ray_angles_deg,
    relative_pose,
    two_view_depths,
)
from vggt_sfm.scene import Matches, Scene

MIN_EDGE_MATCHES = 20
_MAX_ROTATION_RESIDUAL_DEG = 12.0
_MIN_RAY_ANGLE_DEG = 0.6
_FOCAL_PAIRS = 80
_FOCAL_THRESHOLD = 1.5e-3  # of the longer side


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Solution:
    """Cameras of S frames, as far as the matches reach."""

    cam_from_world: Float64  # (S, 3, 4)
    intrinsics: Float64  # (S, 3, 3) network px
    sources: tuple[str, ...]  # S words
    edges: tuple[Edge, ...]  # the pairs that the cameras were joined from


def solve_cameras(matches: Matches, scene: Scene, similarity: Float32) -> Solution:
    """Solve for all cameras at once.

    Args:
        matches: The model's matches, network px.
        scene: Frames, with EXIF focal lengths where there are some.
        similarity: (S, S) how alike frames look, to place those without matches.
    """
    frames = len(scene.frames)
    intrinsics = estimate_intrinsics(matches, scene)
    edges = _edges(matches, intrinsics)
    poses = np.tile(np.eye(3, 4), (frames, 1, 1))
    if not edges:
        origin = ("matches: none, placed at the origin",) * frames
        return Solution(cam_from_world=poses, intrinsics=intrinsics, sources=origin, edges=())
    known = np.array([frame.focal_prior_px is not None for frame in scene.frames])
    edges, intrinsics = polish(edges, intrinsics, _cameras(scene), known)
    edges, rotations = _consistent_rotations(edges, frames)
    edges = redirected(edges, rotations, intrinsics)
    scales = edge_scales(_depths_by_frame(edges, intrinsics, frames), len(edges))
    edges, scales, measured = _reaching_edges(edges, scales)
    reached = main_component(edges, frames).tolist()
    centers = camera_centers(edges, scales, rotations)
    for s in reached:
        poses[s, :, :3] = rotations[s]
        poses[s, :, 3] = -rotations[s] @ centers[s]
    sources = _place_the_rest(poses, reached, measured, similarity)
    return Solution(
        cam_from_world=poses, intrinsics=intrinsics, sources=sources, edges=tuple(edges)
    )


def estimate_intrinsics(matches: Matches, scene: Scene) -> Float64:
    """Intrinsics (S, 3, 3), network px: EXIF where known, else solved for, one value a camera.

    The principal point is the middle of the photo.
    """
    ratios = _focal_ratios(matches, scene)
    result = []
    for frame, m, ratio in zip(scene.frames, scene.pixel_maps, ratios, strict=True):
        focal = frame.focal_prior_px or ratio * max(m.original)
        center = m.to_network(np.array(m.original) / 2)
        result.append(
            [[focal * m.scale[0], 0, center[0]], [0, focal * m.scale[1], center[1]], [0, 0, 1]]
        )
    return np.array(result, np.float64)


def _focal_ratios(matches: Matches, scene: Scene) -> Float64:
    """Focal length over the longer side of each frame, (S,), from pairs with many matches."""
    camera_of = _cameras(scene)
    counts = np.diff(matches.offsets)
    strongest = np.argsort(-counts, kind="stable")[:_FOCAL_PAIRS]
    pairs = []
    for p in strongest:
        i, j = matches.pairs[p]
        # in original pixels over the longer side: square pixels, and one unit for all sizes
        scales = [1 / max(scene.pixel_maps[s].original) for s in (i, j)]
        xy, _ = matches.of_pair(int(p))
        points = [
            scene.pixel_maps[s].to_original(xy[:, columns]) * scale
            for s, columns, scale in zip((i, j), ([0, 1], [2, 3]), scales, strict=True)
        ]
        found = fundamental_matrix(np.concatenate(points, axis=1), _FOCAL_THRESHOLD)
        if found is None:
            continue
        centers = [
            np.array(scene.pixel_maps[s].original) / 2 * scale
            for s, scale in zip((i, j), scales, strict=True)
        ]
        pairs.append(
            EpipolarPair(
                i=camera_of[i],
                j=camera_of[j],
                F=found[0],
                weight=float(found[1].sum()),
                center_i=centers[0],
                center_j=centers[1],
            )
        )
    return focal_ratios(pairs, max(camera_of) + 1)[camera_of]


def _cameras(scene: Scene) -> list[int]:
    """The number of each frame's camera, from 0."""
    keys = [frame.camera_key for frame in scene.frames]
    number = {key: n for n, key in enumerate(sorted(set(keys)))}
    return [number[key] for key in keys]


def _edges(matches: Matches, intrinsics: Float64) -> list[Edge]:
    edges = []
    for p, (i, j) in enumerate(matches.pairs.tolist()):
        xy, confidence = matches.of_pair(p)
        edge = relative_pose(i, j, xy, confidence, intrinsics[i], intrinsics[j])
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


def _depths_by_frame(
    edges: Sequence[Edge], intrinsics: Float64, frames: int
) -> list[list[tuple[int, Float64]]]:
    """For each frame and edge, depth by coarse cell in units of the edge's baseline."""
    result: list[list[tuple[int, Float64]]] = [[] for _ in range(frames)]
    columns = 4096 // COARSE  # any width that no image exceeds
    cell_of = {}
    for number, e in enumerate(edges):
        z_i, z_j, good = _edge_depths(e, intrinsics, e.rotation, e.direction)
        for frame, z, xy in ((e.i, z_i, e.xy[:, :2]), (e.j, z_j, e.xy[:, 2:])):
            cell = (xy // COARSE).astype(np.int64) @ np.array([1, columns])
            cell_of[number, frame] = (cell[good], z[good])
            result[frame].append((number, np.empty(0)))
    for frame, seen in enumerate(result):
        cells = [cell_of[number, frame][0] for number, _ in seen]
        if not cells:
            continue
        index = np.unique(np.concatenate(cells))
        filled = []
        for number, _ in seen:
            depth = np.full(len(index), np.nan)
            cell, z = cell_of[number, frame]
            depth[np.searchsorted(index, cell)] = z
            filled.append((number, depth))
        result[frame] = filled
    return result


def _edge_depths(
    edge: Edge, intrinsics: Float64, R: Float64, t: Float64
) -> tuple[Float64, Float64, np.ndarray]:
    """Depths of an edge's matches in both cameras and which of them are well defined."""
    rays_i = normalized(edge.xy[:, :2], intrinsics[edge.i])
    rays_j = normalized(edge.xy[:, 2:], intrinsics[edge.j])
    z_i, z_j = two_view_depths(rays_i, rays_j, R, t)
    good = (z_i > 0) & (z_j > 0) & (ray_angles_deg(rays_i, rays_j, R) > _MIN_RAY_ANGLE_DEG)
    return z_i, z_j, good


def _place_the_rest(
    poses: Float64, reached: list[int], measured: set[int], similarity: Float32
) -> tuple[str, ...]:
    """Give frames without usable matches the pose of the frame they look most like.

    Returns:
        Where each frame's pose is from.
    """
    sources = []
    for s in range(len(poses)):
        if s in reached:
            sources.append("matches" if s in measured else "matches: distance guessed")
            continue
        nearest = max(reached, key=lambda other: (similarity[s, other], -other))
        poses[s] = poses[nearest]
        sources.append(f"matches: too few, placed like frame {nearest}")
    return tuple(sources)


def sparse_depths(
    solution: Solution, frames: int, height: int, width: int, rows: int, columns: int
) -> Float32:
    """Median depth of the matches in each cell of a grid over the image.

    Args:
        solution: Joined cameras and their verified matches.
        frames: S.
        height: Network image height, px.
        width: Network image width, px.
        rows: Grid rows.
        columns: Grid columns.

    Returns:
        (S, rows, columns) depth, scene units; NaN where no match fell.
    """
    frame, cell, depth = [], [], []
    for e in solution.edges:
        a, b = solution.cam_from_world[e.i], solution.cam_from_world[e.j]
        R = b[:, :3] @ a[:, :3].T
        t = b[:, 3] - R @ a[:, 3]
        z_i, z_j, good = _edge_depths(e, solution.intrinsics, R, t)
        for s, z, xy in ((e.i, z_i, e.xy[:, :2]), (e.j, z_j, e.xy[:, 2:])):
            x = np.clip(xy[good, 0] / width * columns, 0, columns - 1).astype(np.int64)
            y = np.clip(xy[good, 1] / height * rows, 0, rows - 1).astype(np.int64)
            frame.append(np.full(len(x), s))
            cell.append(y * columns + x)
            depth.append(z[good])
    result = np.full(frames * rows * columns, np.nan, np.float32)
    if frame:
        key = np.concatenate(frame) * (rows * columns) + np.concatenate(cell)
        values = np.concatenate(depth)
        order = np.lexsort((values, key))
        key, values = key[order], values[order]
        unique, first, count = np.unique(key, return_index=True, return_counts=True)
        result[unique] = values[first + count // 2]
    return result.reshape(frames, rows, columns)


def normalize_scale(solution: Solution, depths: Float32) -> tuple[Solution, Float32]:
    """Make the median depth one unit and the first frame the world."""
    known = depths[np.isfinite(depths)]
    scale = 1.0 / float(np.median(known)) if len(known) else 1.0
    poses = solution.cam_from_world.copy()
    poses[..., 3] *= scale
    first = poses[0]
    relative = poses[:, :, :3] @ first[:, :3].T
    shift = poses[:, :, 3] - relative @ first[:, 3]
    poses = np.concatenate([relative, shift[..., None]], axis=-1)
    return replace(solution, cam_from_world=poses), (depths * scale).astype(np.float32)
