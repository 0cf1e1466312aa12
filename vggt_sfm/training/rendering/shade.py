"""The colour of what rays meet: textures, light and reflections."""

from __future__ import annotations

import torch

from vggt_sfm.training.rendering.trace import Hits, Rays, in_sky
from vggt_sfm.training.scenes.description import SceneBatch
from vggt_sfm.training.textures import SIDE, TextureBank

_DETAIL_SCALE = 7.3  # how much finer detail is than the texture below it
_REFLECTION_BLUR = 6.0  # texels
_LEAST_FACING = 0.15


def shade(
    scenes: SceneBatch, bank: TextureBank, rays: Rays, hits: Hits, intrinsics: torch.Tensor
) -> torch.Tensor:
    """Colours (R, 3) in [0, 1]; ``intrinsics`` are (B, V, 3, 3), px."""
    scene, slot = hits.scene, hits.slot
    view = torch.nn.functional.normalize(rays.direction, dim=-1)
    normal = torch.einsum("nij,ni->nj", scenes.rotation[scene, slot], hits.normal)
    against = (normal * view).sum(-1, keepdim=True)
    normal = torch.where(against > 0, -normal, normal)
    facing = against[:, 0].abs()
    albedo = _albedo(scenes, bank, rays, hits, facing, intrinsics)
    light = scenes.light[scene]
    ambient = scenes.ambient[scene][:, None]
    diffuse = (normal * light).sum(-1, keepdim=True).clamp(min=0)
    # the sky gives its own light
    lit = torch.where(
        in_sky(scenes, hits)[:, None],
        torch.ones_like(diffuse),
        ambient + (1 - ambient) * 1.4 * diffuse,
    )
    color = albedo * lit
    shiny = (scenes.gloss[scene, slot] > 0).nonzero()[:, 0]
    if len(shiny):
        color[shiny] = _reflect(scenes, bank, hits, color[shiny], view[shiny], normal[shiny], shiny)
    return color.clamp(0, 1)


def _albedo(
    scenes: SceneBatch,
    bank: TextureBank,
    rays: Rays,
    hits: Hits,
    facing: torch.Tensor,
    intrinsics: torch.Tensor,
) -> torch.Tensor:
    scene, slot = hits.scene, hits.slot
    axis = hits.normal.abs().argmax(-1)
    positive = hits.normal.gather(-1, axis[:, None])[:, 0] > 0
    texture = scenes.texture[scene, slot, axis * 2 + positive.long()]
    # the two coordinates that span the face: (y, z), (x, z) or (x, y)
    first, second = torch.where(axis == 0, 1, 0), torch.where(axis == 2, 1, 2)
    uv = hits.local.gather(-1, torch.stack([first, second], -1))
    repeat = scenes.repeat[scene, slot]
    focal = intrinsics[..., 0, 0].flatten().repeat_interleave(rays.pixels)
    # sqrt of the foreshortening: half-way between blur and aliasing
    foreshortening = facing.clamp(min=_LEAST_FACING).sqrt()
    footprint = hits.depth / focal * repeat * SIDE / foreshortening
    albedo = bank.sample(texture, uv * repeat[:, None], footprint)
    strength = scenes.detail[scene, slot]
    fine = ((strength > 0) & (footprint < SIDE / 16)).nonzero()[:, 0]
    if len(fine):
        grain = bank.sample(
            scenes.detail_texture[scene[fine], slot[fine]],
            uv[fine] * repeat[fine, None] * _DETAIL_SCALE,
            footprint[fine] * _DETAIL_SCALE,
        ).mean(-1, keepdim=True)
        amount = strength[fine, None]
        albedo[fine] = albedo[fine] * (1 + amount * (2 * grain - 1))
    return albedo


def _reflect(
    scenes: SceneBatch,
    bank: TextureBank,
    hits: Hits,
    color: torch.Tensor,
    view: torch.Tensor,
    normal: torch.Tensor,
    rows: torch.Tensor,
) -> torch.Tensor:
    """Mix in what the enclosure's texture shows in the mirrored direction, and the light."""
    scene, slot = hits.scene[rows], hits.slot[rows]
    cosine = -(view * normal).sum(-1, keepdim=True)
    mirrored = view + 2 * cosine * normal
    uv = mirrored[:, [0, 2]] / (1.2 + mirrored[:, 1:2].abs())
    blur = torch.full((len(rows),), _REFLECTION_BLUR, device=uv.device)
    around = bank.sample(scenes.texture[scene, 0, 0], uv, blur)
    gloss = scenes.gloss[scene, slot][:, None]
    # Schlick's approximation, with a base a few times that of glass
    share = gloss * (0.15 + 0.85 * (1 - cosine.clamp(0, 1)) ** 5)
    glint = (mirrored * scenes.light[scene]).sum(-1, keepdim=True).clamp(min=0) ** 20
    return torch.lerp(color, around, share) + 0.6 * gloss * glint
