"""Rays of many cameras, and the surfaces they meet first."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vggt_sfm.training.rendering.solids import (
    FAR,
    box_distance,
    box_normal,
    curved_normal,
    cylinder_distance,
    cylinder_normal,
    ellipsoid_distance,
    enclosure_distance,
)
from vggt_sfm.training.rendering.terrain import terrain_distance, terrain_normal
from vggt_sfm.training.scenes.description import SceneBatch, Shape

_DISTANCE = {
    Shape.ENCLOSURE: enclosure_distance,
    Shape.BOX: box_distance,
    Shape.ELLIPSOID: ellipsoid_distance,
    Shape.CYLINDER: cylinder_distance,
}
_NORMAL = {
    Shape.ENCLOSURE: box_normal,
    Shape.BOX: box_normal,
    Shape.ELLIPSOID: curved_normal,
    Shape.CYLINDER: cylinder_normal,
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rays:
    """R rays, row by row, of W = B · V cameras in turn."""

    scene: torch.Tensor  # (W,)
    origin: torch.Tensor  # (W, 3) world
    direction: torch.Tensor  # (R, 3) world, unit z in the camera: ray length is depth
    pixels: int  # rays a camera

    def camera_of(self, rays: torch.Tensor) -> torch.Tensor:
        """Cameras of ray numbers."""
        return rays.div(self.pixels, rounding_mode="floor")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Hits:
    """What R rays meet first."""

    scene: torch.Tensor  # (R,)
    slot: torch.Tensor  # (R,) solid
    depth: torch.Tensor  # (R,)
    local: torch.Tensor  # (R, 3) place in the solid's frame
    normal: torch.Tensor  # (R, 3) unit, in the solid's frame


def camera_rays(
    cam_from_world: torch.Tensor, intrinsics: torch.Tensor, height: int, width: int
) -> Rays:
    """Rays through the pixel centres of (B, V, 3, 4) cameras with (B, V, 3, 3) intrinsics, px."""
    device = cam_from_world.device
    y = torch.arange(height, device=device, dtype=torch.float32) + 0.5
    x = torch.arange(width, device=device, dtype=torch.float32) + 0.5
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    pixels = torch.stack([columns, rows, torch.ones_like(rows)], -1).reshape(-1, 3)
    rotation, shift = cam_from_world[..., :3], cam_from_world[..., 3:]
    world_from_pixel = rotation.transpose(-1, -2) @ torch.linalg.inv(intrinsics)
    scenes, views = cam_from_world.shape[:2]
    return Rays(
        scene=torch.arange(scenes, device=device).repeat_interleave(views),
        origin=-(rotation.transpose(-1, -2) @ shift).squeeze(-1).flatten(0, 1),
        direction=torch.einsum("bvij,pj->bvpi", world_from_pixel, pixels).reshape(-1, 3),
        pixels=height * width,
    )


def in_sky(scenes: SceneBatch, hits: Hits) -> torch.Tensor:
    """Which of R rays meet nothing but the sky."""
    return scenes.open_sky[hits.scene] & (hits.slot == 0)


def known_depth(scenes: SceneBatch, hits: Hits) -> torch.Tensor:
    """Depth (R,) along the optical axis, 0 = sky."""
    return hits.depth.masked_fill(in_sky(scenes, hits), 0)


def first_hits(scenes: SceneBatch, rays: Rays) -> Hits:
    """Find the nearest solid of each ray."""
    unit = torch.nn.functional.normalize(rays.direction, dim=-1)
    depth = torch.full((len(unit),), FAR, device=unit.device)
    slot = torch.zeros(len(unit), dtype=torch.long, device=unit.device)
    for n in range(scenes.shape.shape[1]):
        for shape in Shape:
            chosen = scenes.shape[:, n] == shape
            if shape == Shape.NOTHING or not bool(chosen.any()):
                continue
            near = _rays_towards(scenes, n, chosen, rays, unit, everywhere=shape <= Shape.TERRAIN)
            if len(near) == 0:
                continue
            t = _distance(scenes, n, shape, rays, near)
            closer = t < depth[near]
            depth[near[closer]] = t[closer]
            slot[near[closer]] = n
    return _describe(scenes, rays, depth, slot)


def _rays_towards(
    scenes: SceneBatch,
    n: int,
    chosen: torch.Tensor,
    rays: Rays,
    unit: torch.Tensor,
    *,
    everywhere: bool,
) -> torch.Tensor:
    """Numbers of the rays that come near solid n of the chosen scenes."""
    to_center = scenes.center[rays.scene, n] - rays.origin  # (W, 3)
    distance = to_center.norm(dim=-1).clamp(min=1e-6)
    reach = scenes.half[rays.scene, n].norm(dim=-1) / distance
    cosine = (1 - reach.clamp(max=1.0).square()).sqrt() - 1e-4
    cosine = torch.where((reach >= 1) | everywhere, -2.0, cosine)
    cosine = torch.where(chosen[rays.scene], cosine, 2.0)
    cameras = unit.view(len(distance), rays.pixels, 3)
    towards = torch.einsum("wpi,wi->wp", cameras, to_center / distance[:, None])
    return (towards > cosine[:, None]).flatten().nonzero()[:, 0]


def _distance(
    scenes: SceneBatch, n: int, shape: Shape, rays: Rays, near: torch.Tensor
) -> torch.Tensor:
    camera = rays.camera_of(near)
    scene = rays.scene[camera]
    turn = scenes.rotation[:, n]
    start = rays.origin - scenes.center[rays.scene, n]
    o = torch.einsum("wij,wj->wi", turn[rays.scene], start)[camera]
    d = _turn(turn, scene, rays.direction[near])
    half = scenes.half[scene, n]
    if shape == Shape.TERRAIN:
        if scenes.heights is None:
            raise ValueError("a scene with terrain needs its heights")
        return terrain_distance(scenes.heights, scene, o, d, half)
    return _DISTANCE[shape](o, d, half)


def _turn(rotation: torch.Tensor, scene: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Rotate (n, 3) vectors by the (B, 3, 3) matrices of their scenes."""
    if len(rotation) == 1:
        return vectors @ rotation[0].T
    return torch.einsum("nij,nj->ni", rotation[scene], vectors)


def _describe(scenes: SceneBatch, rays: Rays, depth: torch.Tensor, slot: torch.Tensor) -> Hits:
    number = torch.arange(len(depth), device=depth.device)
    camera = rays.camera_of(number)
    scene = rays.scene[camera]
    place = rays.origin[camera] + depth[:, None] * rays.direction
    place = place - scenes.center[scene, slot]
    local = torch.einsum("nij,nj->ni", scenes.rotation[scene, slot], place)
    half, shape = scenes.half[scene, slot], scenes.shape[scene, slot]
    normal = torch.zeros_like(local)
    for kind, compute in _NORMAL.items():
        on = (shape == kind).nonzero()[:, 0]
        normal[on] = compute(local[on], half[on])
    if scenes.heights is not None:
        on = (shape == Shape.TERRAIN).nonzero()[:, 0]
        normal[on] = terrain_normal(scenes.heights, scene[on], local[on], half[on])
    return Hits(scene=scene, slot=slot, depth=depth, local=local, normal=normal)
