"""A corridor whose doors are all the same, walked along and back."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.training.scenes.cameras import look_at
from vggt_sfm.training.scenes.description import SceneDescription, Shape, Solid
from vggt_sfm.training.scenes.palette import Palette

_HALF = np.array([1.1, 1.3, 12.0])  # m: across, up and along
_DOORS = np.arange(-10.0, 10.1, 2.0)  # m along
_NOTICES = 8
_STRIDE = 0.75  # m
_GAZE_DEG = 72.0  # from the way to the wall
_GAIT = 0.06  # m


def corridor(rng: np.random.Generator, textures: int) -> SceneDescription:
    """Draw walls, equal doors on both sides, and a few notices that tell places apart.

    Args:
        rng: Source of everything random.
        textures: Size of the texture bank.
    """
    p = Palette(rng, textures)
    walls = p.material(scale=2.0, same_faces=True, plain=True)
    door = p.material(scale=0.8, same_faces=True, plain=False)
    frame = p.material(same_faces=True, plain=True)
    floor = p.material(scale=0.5, same_faces=True, plain=False)
    solids = [p.solid(Shape.ENCLOSURE, [0, 0, 0], _HALF, material=walls)]
    solids.append(p.box([0, _HALF[1], 0], [_HALF[0], 0.01, _HALF[2]], floor))
    for side in (-_HALF[0], _HALF[0]):
        for z in _DOORS:
            solids.append(p.box([side, 0.25, z], [0.03, 1.05, 0.52], frame))
            solids.append(p.box([side, 0.28, z], [0.05, 1.0, 0.45], door))
    return SceneDescription(
        kind="corridor",
        solids=(*solids, *_notices(p)),
        light=np.array([0.0, -1.0, 0.0]),
        ambient=1.0,
        open_sky=False,
    )


def _notices(p: Palette) -> list[Solid]:
    """Small pictures, each between two doors of the wall that is photographed."""
    gaps = p.rng.choice(_DOORS[1:-2], _NOTICES, replace=False) + 1.0
    return [
        p.box(
            [-_HALF[0], p.uniform(-0.5, 0.3), z],
            [0.02, p.uniform(0.12, 0.25), p.uniform(0.12, 0.25)],
            p.material(scale=0.4, plain=False),
        )
        for z in gaps
    ]


def along_and_back(views: int, rng: np.random.Generator) -> Float64:
    """Return (S, 3, 4) cameras that look at one wall, first ahead and on the way back from there.

    Args:
        views: Half of them for each way.
        rng: Of steps that are not quite equal.
    """
    place = (np.arange(views // 2) - (views // 2 - 1) / 2) * _STRIDE
    out = [_step(z, _GAZE_DEG, rng) for z in place]
    back = [_step(z, 180 - _GAZE_DEG, rng) for z in place[::-1]]
    return np.stack(out + back)


def _step(z: float, gaze_deg: float, rng: np.random.Generator) -> Float64:
    eye = np.array([0.5, -0.2, z]) + rng.normal(0, _GAIT, 3)
    gaze = np.deg2rad(gaze_deg)
    return look_at(eye, eye + np.array([-np.sin(gaze), 0.05, np.cos(gaze)]), rng.normal(0, 2))
