"""Exact correspondences between views whose depth is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch

_RELATIVE_TOLERANCE = 0.02  # of depth: what lies farther behind is hidden
_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Geometry:
    """Depth and cameras of n views."""

    depth: torch.Tensor  # (n, H, W) scene units, 0 = unknown or sky
    cam_from_world: torch.Tensor  # (n, 3, 4)
    intrinsics: torch.Tensor  # (n, 3, 3) px, corner origin

    def pick(self, rows: torch.Tensor) -> Geometry:
        """Some of the views, in a given order."""
        return Geometry(
            depth=self.depth[rows],
            cam_from_world=self.cam_from_world[rows],
            intrinsics=self.intrinsics[rows],
        )


def warp(source: Geometry, target: Geometry, xy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Carry pixels of views into other views.

    Args:
        source: n views.
        target: n other views of the same scenes.
        xy: (n, k, 2) px in the source views.

    Returns:
        (n, k, 2) px in the target views and (n, k) bool: seen there, not hidden, inside.
    """
    height, width = target.depth.shape[-2:]
    depth = _at(source.depth, xy)
    rays = torch.cat([xy, torch.ones_like(xy[..., :1])], -1)
    rays = rays @ torch.linalg.inv(source.intrinsics).transpose(1, 2)
    pose, other = source.cam_from_world, target.cam_from_world
    world = (rays * depth[..., None] - pose[:, None, :, 3]) @ pose[..., :3]
    camera = world @ other[..., :3].transpose(1, 2) + other[:, None, :, 3]
    z = camera[..., 2]
    pixels = camera @ target.intrinsics.transpose(1, 2)
    there = pixels[..., :2] / z.clamp(min=1e-3)[..., None]
    inside = (there > 0.5).all(-1) & (there[..., 0] < width - 0.5) & (there[..., 1] < height - 0.5)
    seen = _at(target.depth, torch.where(inside[..., None], there, 0.5))
    visible = (z - seen).abs() < _RELATIVE_TOLERANCE * z + _TOLERANCE
    return there, (depth > 0) & (z > 0.05) & inside & visible


def _at(depth: torch.Tensor, xy: torch.Tensor) -> torch.Tensor:
    """Depth (n, H, W) of the pixel that holds each (n, k, 2) position."""
    height, width = depth.shape[-2:]
    x = xy[..., 0].floor().long().clamp(0, width - 1)
    y = xy[..., 1].floor().long().clamp(0, height - 1)
    return depth.flatten(1).gather(1, y * width + x)
