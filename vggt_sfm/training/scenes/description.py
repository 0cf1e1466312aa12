"""What a scene is made of: solids, ground that rolls, light; and many scenes as one batch.

World axes: y points down, as in a level OpenCV camera; the floor is at positive y.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float64

FACES = 6
PLAIN = 1e-3  # textures per unit of length: one colour all over


class Shape(IntEnum):
    """What a slot of a batch holds."""

    NOTHING = 0
    ENCLOSURE = 1
    """A box seen from inside: the room, or the sky around everything."""
    TERRAIN = 2
    BOX = 3
    ELLIPSOID = 4
    CYLINDER = 5
    """Its axis is y; ``half`` holds radius, half height, radius."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Material:
    """How a surface looks."""

    texture: np.ndarray  # (6,) texture of each face; curved solids use faces by their normal
    repeat: float  # textures per unit of length
    gloss: float = 0.0  # 0 to 1, mirror of the sky and the light
    detail: float = 0.0  # 0 to 1, strength of a finer texture on top
    detail_texture: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Solid:
    """One thing in a scene."""

    shape: Shape
    center: Float64  # (3,)
    half: Float64  # (3,) half sizes or semi-axes
    material: Material
    rotation: Float64 = field(default_factory=lambda: np.eye(3))  # (3, 3) solid_from_world


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Stage:
    """Where cameras may stand and what they may look at."""

    target: Float64  # (3,)
    spread: float  # how far from the target other things of interest lie
    near: float  # distances of cameras from the target
    far: float
    low: Float64  # (3,) corner of the box that holds all cameras
    high: Float64  # (3,)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SceneDescription:
    """One scene. The first solid is its enclosure, the second may be its terrain."""

    kind: str
    solids: tuple[Solid, ...]
    light: Float64  # (3,) unit vector towards the light
    ambient: float
    open_sky: bool  # hits on the enclosure are sky, without depth
    heights: Float64 | None = None
    """(G, G) of the terrain, 0 to 1, rows along z; 1 rises ``2 half_y`` above its lowest place."""


StagedScene = tuple[SceneDescription, Stage]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SceneBatch:
    """B scenes of up to N solids."""

    shape: torch.Tensor  # (B, N) of Shape
    center: torch.Tensor  # (B, N, 3)
    rotation: torch.Tensor  # (B, N, 3, 3) solid_from_world
    half: torch.Tensor  # (B, N, 3)
    texture: torch.Tensor  # (B, N, 6)
    repeat: torch.Tensor  # (B, N)
    gloss: torch.Tensor  # (B, N)
    detail: torch.Tensor  # (B, N)
    detail_texture: torch.Tensor  # (B, N)
    light: torch.Tensor  # (B, 3)
    ambient: torch.Tensor  # (B,)
    open_sky: torch.Tensor  # (B,) bool
    heights: torch.Tensor | None  # (B, G, G)


def stack_scenes(scenes: list[SceneDescription], device: torch.device | str = "cpu") -> SceneBatch:
    """Put scenes on a device as one batch."""
    count, slots = len(scenes), max(len(s.solids) for s in scenes)
    shape = np.zeros((count, slots), np.int64)
    center, half = np.zeros((count, slots, 3)), np.ones((count, slots, 3))
    rotation = np.tile(np.eye(3), (count, slots, 1, 1))
    texture = np.zeros((count, slots, FACES), np.int64)
    numbers = np.zeros((4, count, slots))
    for b, scene in enumerate(scenes):
        for n, solid in enumerate(scene.solids):
            m = solid.material
            shape[b, n], center[b, n], half[b, n] = solid.shape, solid.center, solid.half
            rotation[b, n], texture[b, n] = solid.rotation, m.texture
            numbers[:, b, n] = m.repeat, m.gloss, m.detail, m.detail_texture

    def move(values: object, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), device=device).to(dtype)

    return SceneBatch(
        shape=move(shape, torch.long),
        center=move(center),
        rotation=move(rotation),
        half=move(half),
        texture=move(texture, torch.long),
        repeat=move(numbers[0]),
        gloss=move(numbers[1]),
        detail=move(numbers[2]),
        detail_texture=move(numbers[3], torch.long),
        light=move([s.light for s in scenes]),
        ambient=move([s.ambient for s in scenes]),
        open_sky=move([s.open_sky for s in scenes], torch.bool),
        heights=move(_heights(scenes)) if any(s.heights is not None for s in scenes) else None,
    )


def _heights(scenes: list[SceneDescription]) -> Float64:
    side = max(len(s.heights) for s in scenes if s.heights is not None)
    return np.stack([np.zeros((side, side)) if s.heights is None else s.heights for s in scenes])


def turned(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Float64:
    """Return the (3, 3) rotation of a solid turned by degrees, about the vertical first."""
    return np.asarray(Rotation.from_euler("yxz", [yaw, pitch, roll], degrees=True).as_matrix())
