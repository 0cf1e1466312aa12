"""Surfaces of a scene, made plain or repeated up to a share of what is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.failure_axes import Setup
from vggt_sfm.training.rendering.trace import camera_rays, first_hits
from vggt_sfm.training.scenes.cameras import Cameras
from vggt_sfm.training.scenes.description import (
    FACES,
    PLAIN,
    Material,
    SceneDescription,
    Solid,
    stack_scenes,
)

_PROBE = 32  # px a side
_TILES = 4.0  # a unit of length
_USUAL_REPEAT = 0.6  # textures a unit of length, of what was drawn plain


def dressed(
    scene: SceneDescription, cameras: Cameras, width: int, setup: Setup, rng: np.random.Generator
) -> SceneDescription:
    """Give all surfaces a texture, then take it from a share of them, or repeat one tile.

    Args:
        scene: Any scene.
        cameras: That see it.
        width: Of their images, px.
        setup: The shares.
        rng: Chooses the tile.
    """
    shares = seen_shares(scene, cameras, width)
    plain, repeated = (up_to(shares, s / 100) for s in (setup.plain, setup.repeated))
    tile = int(rng.choice(np.concatenate([solid.material.texture for solid in scene.solids])))
    solids = []
    for slot, solid in enumerate(scene.solids):
        material = _textured(solid)
        if slot in repeated:
            material = Material(texture=np.full(FACES, tile), repeat=_TILES)
        if slot in plain:
            material = replace(material, repeat=PLAIN, detail=0.0)
        solids.append(replace(solid, material=material))
    return replace(scene, solids=tuple(solids))


def _textured(solid: Solid) -> Material:
    material = replace(solid.material, gloss=0.0)
    return replace(material, repeat=_USUAL_REPEAT) if material.repeat <= PLAIN else material


def seen_shares(scene: SceneDescription, cameras: Cameras, width: int) -> Float64:
    """Return how much of what cameras see, but for the sky, belongs to each solid, (N,)."""
    K = cameras.intrinsics * np.array([_PROBE / width, _PROBE / width, 1.0])[:, None]
    poses, K_small = (
        torch.as_tensor(a, dtype=torch.float32)[None] for a in (cameras.cam_from_world, K)
    )
    hits = first_hits(stack_scenes([scene]), camera_rays(poses, K_small, _PROBE, _PROBE))
    count = np.bincount(hits.slot.numpy(), minlength=len(scene.solids)).astype(np.float64)
    if scene.open_sky:
        count[0] = 0
    return np.asarray(count / max(count.sum(), 1))


def up_to(shares: Float64, wanted: float) -> set[int]:
    """Choose solids, large ones first, that make up a share together, and no more.

    Args:
        shares: (N,) of each solid.
        wanted: From 0 to 1; 1 takes all.
    """
    if wanted >= 1:
        return set(range(len(shares)))
    chosen, total = set(), 0.0
    for slot in np.argsort(-shares, kind="stable").tolist():
        if shares[slot] > 0 and total + shares[slot] <= wanted:
            chosen.add(slot)
            total += shares[slot]
    return chosen
