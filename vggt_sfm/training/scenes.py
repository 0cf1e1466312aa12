"""Random scenes of boxes and ellipsoids, and cameras that look at them.

World axes: y points down, as in a level OpenCV camera; the floor is at positive y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float64

BOXES = 16
ELLIPSOIDS = 6
_FAR_AWAY = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneBatch:
    """Geometry and materials of B scenes. Box 0 is seen from inside: the room or the far world.

    Slots 0 … BOXES-1 are boxes, the rest ellipsoids; unused ones lie far away.
    """

    center: torch.Tensor  # (B, N, 3)
    rotation: torch.Tensor  # (B, N, 3, 3) slot_from_world
    half: torch.Tensor  # (B, N, 3) half sizes or semi-axes
    texture: torch.Tensor  # (B, N, 6) texture of each face; ellipsoids use the first
    repeat: torch.Tensor  # (B, N) textures per unit of length
    specular: torch.Tensor  # (B, N) 0 to 1
    light: torch.Tensor  # (B, 3) unit vector towards the light
    ambient: torch.Tensor  # (B,)
    open_sky: torch.Tensor  # (B,) bool: hits on box 0 are sky, without depth


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneDescription:
    """One scene as numpy arrays, shaped as a :class:`SceneBatch` without its batch axis."""

    center: Float64
    rotation: Float64
    half: Float64
    texture: np.ndarray
    repeat: Float64
    specular: Float64
    light: Float64
    ambient: float
    open_sky: bool


def stack_scenes(scenes: list[SceneDescription], device: torch.device | str = "cpu") -> SceneBatch:
    """Put scenes on a device as one batch."""

    def field(name: str, dtype: torch.dtype) -> torch.Tensor:
        values = np.stack([np.asarray(getattr(s, name)) for s in scenes])
        return torch.as_tensor(values, device=device).to(dtype)

    names = ("center", "rotation", "half", "repeat", "specular", "light", "ambient")
    floats = {name: field(name, torch.float32) for name in names}
    return SceneBatch(
        **floats, texture=field("texture", torch.long), open_sky=field("open_sky", torch.bool)
    )


def random_scene(rng: np.random.Generator, textures: int) -> SceneDescription:
    """Draw a room, a street or a table-top scene.

    Args:
        rng: Source of everything random.
        textures: Size of the texture bank.
    """
    count = BOXES + ELLIPSOIDS
    center = np.full((count, 3), _FAR_AWAY)
    half = np.full((count, 3), 0.01)
    rotation = np.tile(np.eye(3), (count, 1, 1))
    kind = rng.choice(["room", "street", "table"], p=[0.4, 0.35, 0.25])
    center[0] = 0.0
    if kind == "room":
        half[0] = [rng.uniform(2, 4), rng.uniform(1.2, 2.0), rng.uniform(2, 4)]
        floor, reach = half[0, 1], half[0, [0, 2]].min() * 0.85
    else:
        half[0] = 40.0
        floor, reach = rng.uniform(0.8, 1.6), rng.uniform(1.5, 3.5)
        # 3 cm above the true floor: a coplanar slab would flicker
        center[1] = [0, floor + 0.47, 0]
        half[1] = [38, 0.5, 38]
    first = 1 if kind == "room" else 2
    used = int(rng.integers(8, BOXES - first + 1))
    for slot in range(first, first + used):
        _place_box(center, half, rotation, slot, kind, floor, reach, rng)
    for slot in range(BOXES, BOXES + int(rng.integers(0, ELLIPSOIDS + 1))):
        half[slot] = rng.uniform(0.12, 0.6, 3)
        spot = rng.uniform(-reach, reach, 2) * 0.7
        center[slot] = [spot[0], floor - half[slot, 1] * rng.uniform(0.4, 2.5), spot[1]]
        rotation[slot] = Rotation.random(random_state=rng).as_matrix()
    light = rng.standard_normal(3) - [0, 1.2, 0]
    return SceneDescription(
        center=center,
        rotation=rotation,
        half=half,
        texture=rng.integers(0, textures, (count, 6)),
        repeat=_repeats(kind, count, rng),
        specular=rng.uniform(0, 1, count) * (rng.random(count) < 0.25),
        light=light / np.linalg.norm(light),
        ambient=float(rng.uniform(0.45, 0.85)),
        open_sky=kind != "room",
    )


def _repeats(kind: str, count: int, rng: np.random.Generator) -> Float64:
    """Textures per unit of length: mostly few, because endless repetition is not the rule."""
    repeat = np.exp(rng.uniform(np.log(0.12), np.log(1.0), count))
    if kind != "room":
        repeat[0] = 0.01
    return np.asarray(repeat)


def _place_box(
    center: Float64,
    half: Float64,
    rotation: Float64,
    slot: int,
    kind: str,
    floor: float,
    reach: float,
    rng: np.random.Generator,
) -> None:
    """Put one box on the floor, against a wall, or as a façade behind everything."""
    style = rng.random()
    yaw = rng.uniform(0, 360)
    if kind == "street" and style < 0.35:
        half[slot] = [rng.uniform(1, 3), rng.uniform(1, 3), rng.uniform(0.2, 0.8)]
        side = rng.choice([-1, 1]) * rng.uniform(0.8, 1.5) * reach
        center[slot] = [side, floor - half[slot, 1], rng.uniform(-reach, 1.5 * reach)]
    elif style < 0.55:
        half[slot] = [rng.uniform(0.02, 0.08), rng.uniform(0.4, 1.2), rng.uniform(0.02, 0.5)]
        spot = rng.uniform(-reach, reach, 2)
        center[slot] = [spot[0], floor - half[slot, 1], spot[1]]
    else:
        half[slot] = rng.uniform(0.12, 0.7, 3)
        spot = rng.uniform(-reach, reach, 2) * 0.8
        lift = rng.uniform(0, 1.2) if rng.random() < 0.4 else 0.0
        center[slot] = [spot[0], floor - half[slot, 1] - lift, spot[1]]
    tilt = rng.uniform(-25, 25, 2) if rng.random() < 0.3 else np.zeros(2)
    rotation[slot] = Rotation.from_euler("yxz", [yaw, *tilt], degrees=True).as_matrix()


def look_at(eye: Float64, target: Float64, roll_deg: float = 0.0) -> Float64:
    """Return the (3, 4) cam_from_world of a camera at ``eye`` that looks at ``target``."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    rotation = Rotation.from_euler("z", roll_deg, degrees=True).as_matrix() @ rotation
    return np.concatenate([rotation, -rotation @ eye[:, None]], axis=1)


def random_cameras(scene: SceneDescription, views: int, rng: np.random.Generator) -> Float64:
    """Draw cameras that share much of what they see: an orbit or a walk.

    Returns:
        (views, 3, 4) cam_from_world.
    """
    limit = np.minimum(scene.half[0] * 0.9, 6.0)
    floor = scene.center[1, 1] - scene.half[1, 1] if scene.open_sky else scene.half[0, 1]
    step = rng.uniform(8, 28)
    poses = []
    start = rng.uniform(0, 360)
    radius = rng.uniform(1.5, 4.0)
    target = rng.uniform(-0.5, 0.5, 3) * [1.5, 0.6, 1.5]
    walk = rng.random() < 0.4
    eye = rng.uniform(-0.6, 0.6, 3) * limit * [1, 0.4, 1]
    heading = np.rad2deg(np.arctan2(-eye[0], -eye[2])) + rng.uniform(-50, 50)
    for i in range(views):
        if walk:
            eye = eye + rng.normal(0, 0.35, 3) * [1, 0.35, 1]
            heading += rng.normal(0, step * 0.6)
            angle = np.deg2rad(heading)
            aim = eye + np.array([np.sin(angle), rng.uniform(-0.25, 0.35), np.cos(angle)])
        else:
            angle = np.deg2rad(start + step * i + rng.uniform(-6, 6))
            distance = radius * rng.uniform(0.75, 1.25)
            offset = [np.sin(angle), rng.uniform(-0.5, 0.15), np.cos(angle)]
            eye = target + distance * np.array(offset)
            aim = target + rng.normal(0, 0.2, 3)
        eye = np.clip(eye, -limit, [limit[0], floor - 0.2, limit[2]])
        poses.append(look_at(eye, np.asarray(aim, float), float(rng.normal(0, 6))))
    return np.stack(poses)


def random_intrinsics(side: int, rng: np.random.Generator) -> Float64:
    """Return the (3, 3) K of a square image with 35° to 85° of view, px."""
    focal = side / 2 / np.tan(np.deg2rad(rng.uniform(35, 85)) / 2)
    center = side / 2 + rng.normal(0, 0.02 * side, 2)
    return np.array([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1.0]])
