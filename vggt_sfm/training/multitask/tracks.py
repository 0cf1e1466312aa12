"""Tracks that follow from depth and cameras."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vggt_sfm.training.multitask.batch import SceneBatch, world_points

_SAME_DEPTH = 0.03  # relative; wider than a depth sensor's noise
_CENTER = 0.5  # from corner-origin pixels to those of the track head, whose centres are integers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackTargets:
    """Where N points of the first frame of B scenes are in all S frames."""

    xy: Tensor  # (B, S, N, 2) px, pixel centres at integers
    placed: Tensor  # (B, S, N) bool: inside the image, hidden or not, so that xy can be found
    visible: Tensor  # (B, S, N) bool
    judged: Tensor  # (B, S, N) bool: whether ``visible`` is known


def make_tracks(batch: SceneBatch, count: int) -> TrackTargets:
    """Follow random pixels of known depth.

    Args:
        batch: B scenes.
        count: N, points a scene; drawn with repetition, by torch's generator.
    """
    points, known = _draw_points(batch, count)
    in_camera = torch.einsum("bsij,bnj->bsni", batch.cam_from_world[..., :3], points)
    in_camera = in_camera + batch.cam_from_world[..., None, :, 3]
    z = in_camera[..., 2]
    in_front = z > 0
    homogeneous = torch.einsum("bsij,bsnj->bsni", batch.intrinsics, in_camera)
    xy = homogeneous[..., :2] / torch.where(in_front, z, 1.0)[..., None]
    height, width = batch.depth.shape[-2:]
    inside = in_front & (xy >= 0).all(-1) & (xy[..., 0] < width) & (xy[..., 1] < height)
    surface = _depth_at(batch.depth, torch.where(inside[..., None], xy, 0.0))
    measured = surface > 0
    visible = inside & measured & ((surface - z).abs() < _SAME_DEPTH * z)
    known = known[:, None, None]
    return TrackTargets(
        xy=xy - _CENTER,
        placed=inside & known,
        visible=visible & known,
        judged=(measured | ~inside) & known,
    )


def _draw_points(batch: SceneBatch, count: int) -> tuple[Tensor, Tensor]:
    """Return (B, N, 3) points of the first frames and (B,) whether a scene has any."""
    first = batch.depth[:, 0].flatten(1) > 0
    known = first.any(dim=1)
    chosen = torch.multinomial((first | ~known[:, None]).float(), count, replacement=True)
    points = world_points(batch)[:, 0].flatten(1, 2)
    return points.gather(1, chosen[..., None].expand(-1, -1, 3)), known


def _depth_at(depth: Tensor, xy: Tensor) -> Tensor:
    """Depth (B, S, H, W) of the pixels that hold (B, S, N, 2) places inside the images."""
    column, row = xy.long().unbind(-1)
    return depth.flatten(2).gather(2, row * depth.shape[-1] + column)
