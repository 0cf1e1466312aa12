"""Batched ray casting of scenes: colour and exact depth, the same code on CPU and CUDA."""

from __future__ import annotations

import torch

from vggt_sfm.training.scenes import BOXES, SceneBatch
from vggt_sfm.training.textures import SIDE, TextureBank

_NEAR = 0.05
_FAR = 1e5


def render(
    scenes: SceneBatch,
    bank: TextureBank,
    cam_from_world: torch.Tensor,
    intrinsics: torch.Tensor,
    height: int,
    width: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Render V views of each scene.

    Args:
        scenes: B scenes.
        bank: Their textures.
        cam_from_world: (B, V, 3, 4) OpenCV axes.
        intrinsics: (B, V, 3, 3) K, px, corner origin.
        height: Image height, px.
        width: Image width, px.

    Returns:
        (B, V, H, W, 3) colour in [0, 1] and (B, V, H, W) depth along the optical axis, scene
        units; 0 where the ray meets only sky.
    """
    origin, direction = _rays(cam_from_world, intrinsics, height, width)
    distance, slot, local, normal = _nearest_hit(scenes, origin, direction)
    color = _shade(scenes, bank, direction, distance, slot, local, normal, intrinsics)
    sky = scenes.open_sky[:, None] & (slot == 0)
    depth = torch.where(sky, torch.zeros_like(distance), distance)
    shape = (*cam_from_world.shape[:2], height, width)
    return color.reshape(*shape, 3), depth.reshape(shape)


def _rays(
    cam_from_world: torch.Tensor, intrinsics: torch.Tensor, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """World rays with unit z in the camera, so that ray length is depth: two (B, R, 3)."""
    device = cam_from_world.device
    y = torch.arange(height, device=device, dtype=torch.float32) + 0.5
    x = torch.arange(width, device=device, dtype=torch.float32) + 0.5
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    pixels = torch.stack([columns, rows, torch.ones_like(rows)], -1).reshape(-1, 3)
    rotation, shift = cam_from_world[..., :3], cam_from_world[..., 3:]
    world_from_pixel = rotation.transpose(-1, -2) @ torch.linalg.inv(intrinsics)
    direction = torch.einsum("bvij,pj->bvpi", world_from_pixel, pixels)
    origin = -(rotation.transpose(-1, -2) @ shift).squeeze(-1)
    origin = origin[:, :, None].expand_as(direction)
    return origin.flatten(1, 2), direction.flatten(1, 2)


def _nearest_hit(
    scenes: SceneBatch, origin: torch.Tensor, direction: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Depth (B, R), slot (B, R), hit point and normal in the slot's frame (B, R, 3)."""
    best = torch.full(origin.shape[:2], _FAR, device=origin.device)
    slot = torch.zeros(origin.shape[:2], dtype=torch.long, device=origin.device)
    for n in range(scenes.center.shape[1]):
        if bool((scenes.center[:, n, 0].abs() > 1e5).all()):
            continue
        o, d = _to_slot(scenes, n, origin, direction)
        if n < BOXES:
            t = _box_distance(o, d, scenes.half[:, n, None], inside=n == 0)
        else:
            t = _ellipsoid_distance(o, d, scenes.half[:, n, None])
        closer = t < best
        best = torch.where(closer, t, best)
        slot = torch.where(closer, n, slot)
    rows = torch.arange(len(slot), device=slot.device)[:, None]
    rotation, half = scenes.rotation[rows, slot], scenes.half[rows, slot]
    hit = origin + best[..., None] * direction - scenes.center[rows, slot]
    local = torch.einsum("brij,brj->bri", rotation, hit)
    on_box = (slot < BOXES)[..., None]
    scaled = local / half
    face = torch.nn.functional.one_hot(scaled.abs().argmax(-1), 3).float() * scaled.sign()
    curved = torch.nn.functional.normalize(scaled / half, dim=-1)
    return best, slot, local, torch.where(on_box, face, curved)


def _to_slot(
    scenes: SceneBatch, n: int, origin: torch.Tensor, direction: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    turn = scenes.rotation[:, n].transpose(-1, -2)
    return (origin - scenes.center[:, n, None]) @ turn, direction @ turn


def _box_distance(
    o: torch.Tensor, d: torch.Tensor, half: torch.Tensor, *, inside: bool
) -> torch.Tensor:
    inverse = 1.0 / torch.where(d.abs() < 1e-9, 1e-9, d)
    middle, reach = -o * inverse, half * inverse.abs()
    enter = (middle - reach).amax(-1)
    leave = (middle + reach).amin(-1)
    if inside:
        return torch.where(leave > _NEAR, leave, _FAR)
    return torch.where((enter < leave) & (enter > _NEAR), enter, _FAR)


def _ellipsoid_distance(o: torch.Tensor, d: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    o, d = o / half, d / half
    a, b, c = (d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - 1
    discriminant = b * b - a * c
    t = (-b - discriminant.clamp(min=0).sqrt()) / a
    return torch.where((discriminant > 0) & (t > _NEAR), t, _FAR)


def _shade(
    scenes: SceneBatch,
    bank: TextureBank,
    direction: torch.Tensor,
    distance: torch.Tensor,
    slot: torch.Tensor,
    local: torch.Tensor,
    normal: torch.Tensor,
    intrinsics: torch.Tensor,
) -> torch.Tensor:
    rows = torch.arange(len(slot), device=slot.device)[:, None]
    axis = normal.abs().argmax(-1)
    face = axis * 2 + (torch.gather(normal, -1, axis[..., None]).squeeze(-1) > 0).long()
    face = torch.where(slot < BOXES, face, torch.zeros_like(face))
    repeat = scenes.repeat[rows, slot]
    # the two coordinates that span the face: (y, z), (x, z) or (x, y)
    first = torch.where(axis == 0, 1, 0)
    second = torch.where(axis == 2, 1, 2)
    uv = torch.stack(
        [torch.gather(local, -1, first[..., None]), torch.gather(local, -1, second[..., None])], -1
    ).squeeze(-2)
    view = torch.nn.functional.normalize(direction, dim=-1)
    world_normal = torch.einsum("brij,bri->brj", scenes.rotation[rows, slot], normal)
    facing = (world_normal * view).sum(-1).abs().clamp(min=0.15)
    per_view = distance.reshape(*intrinsics.shape[:2], -1)
    pixel_size = (per_view / intrinsics[..., 0, 0, None]).reshape_as(distance)
    # sqrt of the foreshortening: half-way between blur and aliasing
    footprint = pixel_size * repeat * SIDE / facing.sqrt()
    albedo = bank.sample(scenes.texture[rows, slot, face], uv * repeat[..., None], footprint)
    light = scenes.light[:, None]
    flip = torch.where((world_normal * view).sum(-1, keepdim=True) > 0, -1.0, 1.0)
    world_normal = world_normal * flip
    diffuse = (world_normal * light).sum(-1).clamp(min=0)
    ambient = scenes.ambient[:, None]
    mirrored = view - 2 * (view * world_normal).sum(-1, keepdim=True) * world_normal
    gloss = scenes.specular[rows, slot] * (mirrored * light).sum(-1).clamp(min=0) ** 20
    shade = (ambient + (1 - ambient) * 1.4 * diffuse)[..., None]
    return (albedo * shade + 0.6 * gloss[..., None]).clamp(0, 1)
