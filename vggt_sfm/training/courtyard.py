"""The demo's scene: a courtyard with façades, stairs, columns and pots, photographed on foot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vggt_sfm._checks import Float64, UInt8
from vggt_sfm._log import Progress
from vggt_sfm.training.rendering.render import render
from vggt_sfm.training.scenes.cameras import look_at
from vggt_sfm.training.scenes.description import (
    Material,
    SceneDescription,
    Shape,
    Solid,
    stack_scenes,
    turned,
)
from vggt_sfm.training.textures import TextureBank, procedural_textures

VIEWS = 14
WIDTH, HEIGHT = 640, 480
FOCAL_PX = 560.0
_SEED = 20
_TEXTURES = 48
_SAMPLES = 2  # rays a side of each pixel


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RenderedScene:
    """Rendered photographs and their exact cameras."""

    images: UInt8  # (V, H, W, 3)
    cam_from_world: Float64  # (V, 3, 4)
    intrinsics: Float64  # (3, 3) px


def courtyard(rng: np.random.Generator) -> SceneDescription:
    """Build the scene; the random generator only chooses textures and small turns."""
    boxes = [
        ([0, 2.0, 4], [12, 0.5, 12]),  # ground
        ([0, -0.8, 6.2], [4.5, 2.3, 0.4]),  # façade
        ([-4.2, -0.4, 3.5], [0.4, 1.9, 3.2]),  # wing on the left
        ([4.4, -0.1, 3.8], [0.4, 1.6, 2.8]),  # wing on the right
        ([0, 1.35, 5.5], [1.6, 0.15, 0.5]),  # stairs, bottom to top
        ([0, 1.1, 5.65], [1.3, 0.15, 0.4]),
        ([0, 0.0, 5.75], [0.55, 1.0, 0.15]),  # door
        ([2.3, 1.2, 3.3], [0.8, 0.08, 0.3]),  # bench
        ([2.4, 1.35, 3.3], [0.12, 0.15, 0.25]),
        ([-3.1, 0.7, 4.9], [0.5, 0.8, 0.3]),  # crate
    ]
    turned_boxes = [
        ([-2.3, 1.15, 3.6], [0.45, 0.35, 0.45]),
        ([-1.8, 1.3, 2.7], [0.3, 0.2, 0.25]),
        ([0.6, 1.2, 3.9], [0.35, 0.3, 0.35]),
    ]
    columns = [([-1.9, 0.6, 5.3], [0.2, 0.9, 0.2]), ([1.9, 0.6, 5.3], [0.2, 0.9, 0.2])]
    pots = [
        ([0.6, 0.6, 3.9], [0.32, 0.35, 0.32]),
        ([-1.9, -0.5, 5.3], [0.26, 0.26, 0.26]),
        ([1.9, -0.5, 5.3], [0.26, 0.26, 0.26]),
        ([-2.3, 0.62, 3.6], [0.3, 0.22, 0.3]),
        ([3.2, 1.1, 4.6], [0.45, 0.5, 0.45]),
    ]
    solids = [_solid(rng, Shape.ENCLOSURE, [0, 0, 0], [60, 60, 60], repeat=0.008)]
    solids += [_solid(rng, Shape.BOX, *place) for place in boxes]
    for place in turned_boxes:
        solids.append(_solid(rng, Shape.BOX, *place, yaw=rng.uniform(0, 60)))
    solids += [_solid(rng, Shape.CYLINDER, *place) for place in columns]
    solids += [_solid(rng, Shape.ELLIPSOID, *place) for place in pots]
    light = np.array([0.4, -0.8, -0.5])
    return SceneDescription(
        kind="courtyard",
        solids=tuple(solids),
        light=light / np.linalg.norm(light),
        ambient=0.6,
        open_sky=True,
    )


def _solid(
    rng: np.random.Generator,
    shape: Shape,
    center: list[float],
    half: list[float],
    *,
    repeat: float | None = None,
    yaw: float = 0.0,
) -> Solid:
    material = Material(
        texture=rng.integers(0, _TEXTURES, 6),
        repeat=rng.uniform(0.18, 0.4) if repeat is None else repeat,
    )
    return Solid(
        shape=shape,
        center=np.array(center, np.float64),
        half=np.array(half, np.float64),
        material=material,
        rotation=turned(yaw),
    )


def walk(rng: np.random.Generator) -> Float64:
    """Cameras on an arc in front of the façade, (VIEWS, 3, 4) cam_from_world."""
    poses = []
    for angle in np.linspace(-38, 38, VIEWS):
        turn = np.deg2rad(angle + rng.uniform(-2, 2))
        eye = np.array([4.6 * np.sin(turn), rng.uniform(-0.3, 0.5), 5.0 - 5.2 * np.cos(turn)])
        target = np.array([rng.uniform(-0.5, 0.5), rng.uniform(0.2, 0.7), 5.0])
        poses.append(look_at(eye, target, rng.normal(0, 2)))
    return np.stack(poses)


def _muted(textures: UInt8) -> UInt8:
    """Take out most of the colour, as stone and plaster have it."""
    grey = textures.mean(axis=-1, keepdims=True)
    return np.asarray((grey + 0.3 * (textures - grey)).round().astype(np.uint8))


def photograph_courtyard(progress: Progress) -> RenderedScene:
    """Render the scene; the same pixels on every run of a machine."""
    rng = np.random.default_rng(_SEED)
    bank = TextureBank(_muted(procedural_textures(_TEXTURES, rng)))
    scene = stack_scenes([courtyard(rng)])
    poses = walk(rng)
    K = np.array([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1.0]])
    fine = torch.as_tensor(np.diag([_SAMPLES, _SAMPLES, 1.0]) @ K, dtype=torch.float32)
    images = []
    with progress.task("render photographs", VIEWS) as task:
        for pose in poses:
            camera = torch.as_tensor(pose, dtype=torch.float32)[None, None]
            color, _ = render(
                scene, bank, camera, fine[None, None], HEIGHT * _SAMPLES, WIDTH * _SAMPLES
            )
            pixels = torch.nn.functional.avg_pool2d(color[0, 0].permute(2, 0, 1), _SAMPLES)
            noise = rng.normal(0, 0.008, pixels.shape)
            image = (pixels.permute(1, 2, 0).numpy() + noise.transpose(1, 2, 0)).clip(0, 1)
            images.append((image * 255).round().astype(np.uint8))
            task.advance()
    return RenderedScene(images=np.stack(images), cam_from_world=poses, intrinsics=K)
