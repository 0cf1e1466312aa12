"""Cameras and sparse depth of a scene from the matches of its pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float32, Float64
from vggt_sfm.models.tiny.assemble import Joined, join, misfit, refine
from vggt_sfm.models.tiny.focal_search import other_focals
from vggt_sfm.models.tiny.intrinsics import cameras_of, estimate_intrinsics
from vggt_sfm.models.tiny.relative import Edge, homogeneous
from vggt_sfm.scene import Matches, Scene


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
    cameras = cameras_of(scene)
    known = np.array([frame.focal_prior_px is not None for frame in scene.frames])
    first = estimate_intrinsics(matches, scene)
    starts = [first, *other_focals(matches, first, cameras, known)]
    solved = [refine(join(matches, K), cameras, known) for K in starts]
    found = min(solved, key=lambda each: misfit(matches, each))
    # Where the principal point is, matches tell well enough to keep it from bending directions,
    # but no better than that it is the middle, which is what all that follows expects.
    poses, intrinsics = _looking_through(first[:, :2, 2], found)
    return Solution(
        cam_from_world=poses,
        intrinsics=intrinsics,
        sources=_place_the_rest(poses, found.reached, found.measured, similarity),
        edges=found.edges,
    )


def _looking_through(middle: Float64, found: Joined) -> tuple[Float64, Float64]:
    """Turn cameras so that their optical axes go through other points of the same images.

    Args:
        middle: (S, 2) the new principal points, px.
        found: Cameras.

    Returns:
        (S, 3, 4) poses and (S, 3, 3) intrinsics: the same projections, to first order.
    """
    focal = found.intrinsics[:, [0, 1], [0, 1]]
    ray = homogeneous((middle - found.intrinsics[:, :2, 2]) / focal)
    side = np.cross(ray, [0.0, 0.0, 1.0])
    length = np.linalg.norm(side, axis=1, keepdims=True)
    turn = side / np.maximum(length, 1e-12) * np.arctan(length)
    intrinsics = found.intrinsics.copy()
    intrinsics[:, :2, 2] = middle
    return Rotation.from_rotvec(turn).as_matrix() @ found.cam_from_world, intrinsics


def _place_the_rest(
    poses: Float64, reached: list[int], measured: frozenset[int], similarity: Float32
) -> tuple[str, ...]:
    """Give frames without usable matches the pose of the frame they look most like.

    Returns:
        Where each frame's pose is from.
    """
    if not reached:
        return ("matches: none, placed at the origin",) * len(poses)
    sources = []
    for s in range(len(poses)):
        if s in reached:
            sources.append("matches" if s in measured else "matches: distance guessed")
            continue
        nearest = max(reached, key=lambda other: (similarity[s, other], -other))
        poses[s] = poses[nearest]
        sources.append(f"matches: too few, placed like frame {nearest}")
    return tuple(sources)
