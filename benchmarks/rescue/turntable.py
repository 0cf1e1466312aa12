"""An object with little texture in front of a plain background, photographed all around."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.training.scenes.cameras import look_at
from vggt_sfm.training.scenes.description import SceneDescription, Shape, Solid
from vggt_sfm.training.scenes.palette import Palette

PARTS = 12
_PLAIN_SHARE = 0.35  # of the object's parts
_DISTANCE, _RISE = 2.6, 1.1
_TARGET = np.array([0.0, -0.35, 0.0])


def turntable(rng: np.random.Generator, textures: int) -> SceneDescription:
    """Draw an object of several parts, many of them plain.

    Args:
        rng: Source of everything random.
        textures: Size of the texture bank.
    """
    p = Palette(rng, textures)
    p.plain_share = _PLAIN_SHARE
    plain = p.material(plain=True, same_faces=True)
    room = p.solid(Shape.ENCLOSURE, [0, 0, 0], [8, 8, 8], material=plain)
    table = p.box([0, 0.1, 0], [7, 0.1, 7], plain)
    parts = [_part(p) for _ in range(PARTS)]
    return SceneDescription(
        kind="turntable",
        solids=(room, table, *parts),
        light=np.array([0.0, -1.0, 0.0]),
        ambient=0.7,
        open_sky=False,
    )


def _part(p: Palette) -> Solid:
    center = p.rng.normal(0, 0.2, 3) * [1, 0.8, 1] + _TARGET
    shape = Shape(int(p.rng.choice([Shape.BOX, Shape.ELLIPSOID])))
    material = p.material(scale=0.5)
    return p.solid(
        shape, center, p.rng.uniform(0.1, 0.3, 3), material=material, rotation=p.any_turn()
    )


def around(views: int) -> Float64:
    """Return (S, 3, 4) cameras at equal angles all around the object."""
    angles = np.linspace(0, 2 * np.pi, views, endpoint=False)
    eyes = [
        np.array([_DISTANCE * np.sin(a), _TARGET[1] - _RISE, _DISTANCE * np.cos(a)]) for a in angles
    ]
    return np.stack([look_at(eye, _TARGET) for eye in eyes])
