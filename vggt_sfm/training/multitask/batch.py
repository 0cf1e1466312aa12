"""Scenes with true cameras and depth, and what a network should say about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vggt_sfm._checks import Float32, Float64, check_shape
from vggt_sfm.geometry.rigid import compose, invert
from vggt_sfm.models.pose_encoding import encode_cameras
from vggt_sfm.scene import Size


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneViews:
    """S frames of one scene, the first of which is the reference; pixels as the network sees."""

    images: Float32  # (S, 3, H, W) RGB in [0, 1]
    depth: Float32  # (S, H, W) along the optical axis, scene units; 0 = unknown
    cam_from_world: Float64  # (S, 3, 4) OpenCV axes
    intrinsics: Float64  # (S, 3, 3) px, corner origin

    def __post_init__(self) -> None:
        dims = check_shape("SceneViews.images", self.images, "S 3 H W")
        check_shape("SceneViews.depth", self.depth, "S H W", dims)
        check_shape("SceneViews.cam_from_world", self.cam_from_world, "S 3 4", dims)
        check_shape("SceneViews.intrinsics", self.intrinsics, "S 3 3", dims)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneBatch:
    """B scenes of S frames each, on one device; the world is the first camera's frame."""

    images: Tensor  # (B, S, 3, H, W) RGB in [0, 1]
    depth: Tensor  # (B, S, H, W) along the optical axis, scene units; 0 = unknown
    cam_from_world: Tensor  # (B, S, 3, 4), the first of each scene being the identity
    intrinsics: Tensor  # (B, S, 3, 3) px, corner origin
    pose_encoding: Tensor  # (B, S, 9) of these cameras, see models.pose_encoding

    @property
    def num_frames(self) -> int:
        """Frames of all scenes together."""
        return self.images.shape[0] * self.images.shape[1]

    @classmethod
    def of(cls, scenes: Sequence[SceneViews], device: torch.device) -> SceneBatch:
        """Stack scenes that agree in all sizes."""
        world = np.stack([scene.cam_from_world for scene in scenes])
        cam_from_first = compose(world, invert(world[:, :1]))
        intrinsics = np.stack([scene.intrinsics for scene in scenes])
        images = np.stack([scene.images for scene in scenes])
        size = Size(images.shape[-1], images.shape[-2])

        def tensor(array: Float32 | Float64) -> Tensor:
            return torch.as_tensor(array, dtype=torch.float32).to(device)

        return cls(
            images=tensor(images),
            depth=tensor(np.stack([scene.depth for scene in scenes])),
            cam_from_world=tensor(cam_from_first),
            intrinsics=tensor(intrinsics),
            pose_encoding=tensor(encode_cameras(cam_from_first, intrinsics, size)),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Targets:
    """What a network should say about B scenes of S frames, in units of each scene's own size."""

    pose_encoding: Tensor  # (B, S, 9)
    depth: Tensor  # (B, S, H, W, 1); 0 where not valid
    points: Tensor  # (B, S, H, W, 3) in the first camera's frame; 0 where not valid
    valid: Tensor  # (B, S, H, W) bool, where the truth is known


def world_points(batch: SceneBatch) -> Tensor:
    """Return the (B, S, H, W, 3) points that the pixels' centres show; 0 where not known."""
    height, width = batch.depth.shape[-2:]
    y, x = torch.meshgrid(
        *(torch.arange(n, device=batch.depth.device) + 0.5 for n in (height, width)), indexing="ij"
    )
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # (H, W, 3)
    rays = torch.einsum("bsij,hwj->bshwi", torch.linalg.inv(batch.intrinsics), pixels)
    rotation, translation = batch.cam_from_world[..., :3], batch.cam_from_world[..., 3]
    in_camera = rays * batch.depth[..., None] - translation[:, :, None, None]
    points = torch.einsum("bsji,bshwj->bshwi", rotation, in_camera)
    return torch.where((batch.depth > 0)[..., None], points, 0.0)


def make_targets(batch: SceneBatch) -> Targets:
    """Divide every scene by the mean distance of its points from the first camera.

    A scene without any known depth keeps its units. Predictions are not normalised: the network
    has to learn this scale.

    Source: Wang et al. 2025, VGGT, section 3.4.
    """
    valid = batch.depth > 0
    points = world_points(batch)
    distances = torch.where(valid, points.norm(dim=-1), 0.0)
    count = valid.sum(dim=(1, 2, 3))
    mean = distances.sum(dim=(1, 2, 3)) / count.clamp(min=1)
    scale = torch.where(count > 0, mean, 1.0)  # (B,)
    encoding = batch.pose_encoding.clone()
    encoding[..., :3] /= scale[:, None, None]
    return Targets(
        pose_encoding=encoding,
        depth=(batch.depth / scale[:, None, None, None])[..., None],
        points=points / scale[:, None, None, None, None],
        valid=valid,
    )
