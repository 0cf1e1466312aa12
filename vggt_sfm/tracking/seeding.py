"""Places tracks in 3D from predicted depth and cameras, without triangulation."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float32, Float64
from vggt_sfm._groups import grouped_median
from vggt_sfm.geometry.cameras import unproject
from vggt_sfm.scene import Predictions, Scene
from vggt_sfm.tracking.linking import Observations

_LEAST_WEIGHT = 0.01  # of the least confident pixel in a median; keeps sums of weights exact enough


def seed_points(scene: Scene, predictions: Predictions, observations: Observations) -> Float64:
    """Lift every observation with its own frame's prediction and take the middle of each track.

    Args:
        scene: Frames and their maps to network pixels.
        predictions: Depth and cameras; their world points, where there are some, stand for both.
        observations: M observations of N tracks.

    Returns:
        (N, 3) weighted median over each track's views, an axis at a time, with the prediction's
        confidence rank within its frame as weight; scene units, predicted world; NaN for tracks
        without depth in any view.
    """
    xyz = np.full((len(observations.xy), 3), np.nan)
    weight = np.zeros(len(observations.xy))
    for s, pixel_map in enumerate(scene.pixel_maps):
        rows = np.flatnonzero(observations.frame_index == s)
        network_xy = pixel_map.to_network(observations.xy[rows])
        xyz[rows], weight[rows] = _lift(predictions, s, network_xy)
    num_tracks = int(observations.track_index.max(initial=-1)) + 1
    known = np.isfinite(xyz).all(axis=1)
    return np.stack(
        [
            grouped_median(
                observations.track_index[known], xyz[known, axis], weight[known], num_tracks
            )
            for axis in range(3)
        ],
        axis=1,
    )


def _lift(predictions: Predictions, s: int, xy: Float64) -> tuple[Float64, Float64]:
    """Return (n, 3) world points seen at pixels of frame ``s`` and their (n,) weights."""
    if predictions.world_points is not None and predictions.world_points_confidence is not None:
        points = sample_points(predictions.world_points[s], xy)
        return points, _confidence_rank(predictions.world_points_confidence[s], xy)
    depth = sample_depth(predictions.depth[s], xy)
    try:
        points = unproject(xy, depth, predictions.intrinsics[s], predictions.cam_from_world[s])
    except np.linalg.LinAlgError:  # a focal length of 0 puts no pixel anywhere
        points = np.full((len(xy), 3), np.nan)
    return points, _confidence_rank(predictions.depth_confidence[s], xy)


def sample_depth(depth: Float32, xy: Float64) -> Float64:
    """Interpolate a depth map bilinearly between the pixels that know their depth.

    Args:
        depth: (H, W), 0 = unknown.
        xy: (n, 2) px of the depth map, corner origin.

    Returns:
        (n,) depth, NaN outside the map and where no neighbour is known.
    """
    return sample_points(depth[..., None], xy, positive=True)[:, 0]


def sample_points(values: Float32, xy: Float64, *, positive: bool = False) -> Float64:
    """Interpolate (H, W, K) values bilinearly between the pixels where all are finite.

    Args:
        values: (H, W, K), world points for instance.
        xy: (n, 2) px of the map, corner origin.
        positive: Whether values that are not positive are unknown too.

    Returns:
        (n, K), NaN outside the map and where no neighbour is known.
    """
    height, width = values.shape[:2]
    xy = _somewhere(xy)
    corner = np.floor(xy - 0.5)
    fraction = xy - 0.5 - corner
    total, weight = np.zeros((len(xy), values.shape[-1])), np.zeros((len(xy), 1))
    for dx in (0, 1):
        for dy in (0, 1):
            column = np.clip(corner[:, 0] + dx, 0, width - 1).astype(np.int64)
            row = np.clip(corner[:, 1] + dy, 0, height - 1).astype(np.int64)
            share = np.abs(1 - dx - fraction[:, 0]) * np.abs(1 - dy - fraction[:, 1])
            value = values[row, column].astype(np.float64)
            known = (np.isfinite(value) & ((value > 0) | (not positive))).all(1, keepdims=True)
            share = share[:, None] * known
            total += share * np.where(known, value, 0.0)
            weight += share
    inside = (xy >= 0).all(axis=1) & (xy[:, 0] <= width) & (xy[:, 1] <= height)
    sampled = total / np.where(weight > 0, weight, 1)
    return np.where(inside[:, None] & (weight > 0), sampled, np.nan)


def _somewhere(xy: Float64) -> Float64:
    """Put (n, 2) pixels that are not finite outside of every map."""
    return np.where(np.isfinite(xy), xy, -1)


def _confidence_rank(confidence: Float32, xy: Float64) -> Float64:
    """Return (n,) shares of the frame's pixels that are at most as confident, in (0, 1]."""
    height, width = confidence.shape
    xy = _somewhere(xy)
    column = np.clip(np.floor(xy[:, 0]), 0, width - 1).astype(np.int64)
    row = np.clip(np.floor(xy[:, 1]), 0, height - 1).astype(np.int64)
    ordered = np.sort(confidence, axis=None)
    rank = np.searchsorted(ordered, confidence[row, column], side="right")
    return np.asarray(np.maximum(rank / confidence.size, _LEAST_WEIGHT))
