"""The pose of two views from matches and given intrinsics, as matchers are compared."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.bench.modes import TRIALS
from vggt_sfm.errors import ReconstructionError
from vggt_sfm.pipelines.result import ReconstructResult
from vggt_sfm.pipelines.stages import INGEST, TRACK
from vggt_sfm.scene import Size

_MOST_MATCHES = 5000
_SHORT_SIDE = 480.0  # px
_THRESHOLD = 0.5  # px at that size
_CONFIDENCE = 0.99999
_FEWEST = 5  # matches that an essential matrix needs


class Matches(NamedTuple):
    """Matches of two photographs."""

    xy: Float64  # (n, 4) x, y in the first and x, y in the second, px of the photographs
    sizes: tuple[Size, Size]


def two_view_matches(result: ReconstructResult) -> Matches:
    """Return what a reconstruction of two photographs matched, with or without the network.

    Raises:
        ReconstructionError: If a photograph was left out.
    """
    scene, tracks = result.of_stage(INGEST), result.of_stage(TRACK)
    if len(scene.frames) != 2:
        raise ReconstructionError("two photographs are needed, and one was left out")
    xy = np.full((len(tracks.xyz), 2, 2), np.nan)
    xy[tracks.track_index, tracks.frame_index] = tracks.xy
    both = xy.reshape(-1, 4)
    return Matches(
        both[np.isfinite(both).all(axis=1)], (scene.frames[0].size, scene.frames[1].size)
    )


def relative_poses(xy: Float64, intrinsics: Float64, sizes: tuple[Size, Size]) -> Float64:
    """Estimate the pose of the second camera several times from shuffled matches.

    Args:
        xy: (n, 4) matches, px; at most 5000 of them count.
        intrinsics: (2, 3, 3) px.
        sizes: Of the photographs.

    Returns:
        (5, 3, 4) cam2_from_cam1 with a translation of length 1; NaN where none is found.

    Source: settings as Edstedt et al., RoMa, CVPR 2024, evaluate on ScanNet-1500: half a pixel of
    photographs whose short side has 480, divided by the mean focal length.
    """
    rng = np.random.default_rng(0)
    focal = [
        K[[0, 1], [0, 1]].mean() * _SHORT_SIDE / min(s)
        for K, s in zip(intrinsics, sizes, strict=True)
    ]
    rays = np.stack([_normalized(xy[:, :2], intrinsics[0]), _normalized(xy[:, 2:], intrinsics[1])])
    threshold = _THRESHOLD / float(np.mean(focal))
    chosen = rng.permutation(len(xy))[:_MOST_MATCHES]
    return np.stack([_pose(rays[:, rng.permutation(chosen)], threshold) for _ in range(TRIALS)])


def _normalized(xy: Float64, K: Float64) -> Float64:
    return np.asarray((xy - K[:2, 2]) / K[[0, 1], [0, 1]])


def _pose(rays: Float64, threshold: float) -> Float64:
    """Return (3, 4) from (2, n, 2) matches in normalized coordinates."""
    none = np.full((3, 4), np.nan)
    if rays.shape[1] < _FEWEST:
        return none
    E, mask = cv2.findEssentialMat(
        rays[0], rays[1], np.eye(3), method=cv2.RANSAC, prob=_CONFIDENCE, threshold=threshold
    )
    if np.size(E) < 9:  # None where it found nothing, which its type does not say
        return none
    best, most = none, 0
    for candidate in np.split(E, len(E) // 3):
        count, R, t, _ = cv2.recoverPose(candidate, rays[0], rays[1], np.eye(3), mask=mask.copy())
        if count > most:
            best, most = np.column_stack([R, t]), count
    return best
