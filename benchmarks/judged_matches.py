"""How good one method's matches of a pair of photographs are, and the pose that they give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.embedded_matchers import Found
from vggt_sfm.benchmarks.two_views import View, epipolar_errors, reprojection_errors
from vggt_sfm.metrics.pose import relative_pose_errors
from vggt_sfm.models.tiny.relative import relative_pose
from vggt_sfm.scene import PixelMap

CORRECT_PX = 2.0  # of the photograph


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one method made of one pair."""

    matches: int
    on_line: int
    """Matches within 2 px of both epipolar lines."""
    with_depth: int | None
    """Matches of points whose true depth is known; None where no depth is known at all."""
    on_point: int | None
    """Of these, matches within 2 px of where the depth puts them."""
    pose_deg: float | None
    """Error of the pose from the matches, direction without sign; None: there is no pose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedPair:
    """One pair."""

    photographs: str
    """The set."""
    first: str
    second: str
    overlap: float | None
    """Share of the first photograph that the second sees; None where no depth is known."""
    rotation_deg: float
    sift_verified: int
    """SIFT matches that the product's verification keeps."""
    model: Judged
    sift: Judged


def judge(found: Found, views: tuple[View, View], maps: tuple[PixelMap, PixelMap]) -> Judged:
    """Compare the matches of a pair with its true geometry.

    Args:
        found: The matches.
        views: The true cameras, with depth where there is some.
        maps: Into the network's pixels, in which the pose is estimated.
    """
    with_depth = on_point = None
    if views[0].depth is not None:
        errors = reprojection_errors(*views, found.xy)
        with_depth = int(np.isfinite(errors).sum() + np.isinf(errors).sum())
        on_point = int((errors <= CORRECT_PX).sum())
    poses = pair_poses(found, (views[0].intrinsics, views[1].intrinsics), maps)
    truth = np.stack([view.cam_from_world for view in views])
    error = float(relative_pose_errors(poses, truth).pose_deg[0])
    return Judged(
        matches=len(found.xy),
        on_line=int((epipolar_errors(*views, found.xy) <= CORRECT_PX).sum()),
        with_depth=with_depth,
        on_point=on_point,
        pose_deg=round(error, 3) if np.isfinite(error) else None,
    )


def pair_poses(
    found: Found, intrinsics: tuple[Float64, Float64], maps: tuple[PixelMap, PixelMap]
) -> Float64:
    """Estimate two cameras from their matches as the embedded model does.

    Args:
        found: The matches.
        intrinsics: Twice (3, 3), px of the photographs.
        maps: Into the network's pixels, so that the solver's threshold is what it is there.

    Returns:
        (2, 3, 4) cam_from_world, the first camera being the world; NaN where there is no pose.
    """
    xy = [m.to_network(found.xy[:, at]) for m, at in zip(maps, ([0, 1], [2, 3]), strict=True)]
    K_i, K_j = (m.intrinsics_to_network(K) for m, K in zip(maps, intrinsics, strict=True))
    points = np.concatenate(xy, axis=1).astype(np.float32)
    edge = relative_pose(0, 1, points, found.confidence.astype(np.float32), K_i, K_j)
    second = np.full((3, 4), np.nan)
    if edge is not None:
        second = np.column_stack([edge.rotation, edge.direction])
    return np.stack([np.eye(3, 4), second])
