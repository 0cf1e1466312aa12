"""Rooms, tables with things on them, and heaps."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.training.scenes.description import (
    SceneDescription,
    Shape,
    Solid,
    Stage,
    StagedScene,
)
from vggt_sfm.training.scenes.outdoor import light
from vggt_sfm.training.scenes.palette import Palette

_WALL_GAP = 0.35  # m between cameras and walls


def room(palette: Palette) -> StagedScene:
    """A room with furniture along its walls, pictures on them and things about."""
    p = palette
    half = np.array([p.uniform(1.8, 4.5), p.uniform(1.2, 1.8), p.uniform(1.8, 4.5)])
    solids = [_walls(p, half)]
    for _ in range(p.several(3, 7)):
        solids += _against_wall(p, half)
    for _ in range(p.several(2, 8)):
        solids += _picture(p, half)
    for _ in range(p.several(2, 7)):
        spot = p.rng.uniform(-0.7, 0.7, 2) * half[[0, 2]]
        solids += p.thing([spot[0], half[1], spot[1]], p.uniform(0.15, 0.5))
    target = p.rng.uniform(-0.5, 0.5, 3) * half
    return _indoors(p, "room", solids, half, target, near=1.0, far=3.0)


def table_top(palette: Palette) -> StagedScene:
    """A table with things on it, seen from close by, in a room."""
    p = palette
    half = np.array([p.uniform(2, 4), p.uniform(1.2, 1.6), p.uniform(2, 4)])
    size = np.array([p.uniform(0.5, 1.1), p.uniform(0.3, 0.45), p.uniform(0.4, 0.8)])
    top = half[1] - 2 * size[1]
    solids = [_walls(p, half), *p.table([0, half[1], 0], size, np.eye(3))]
    for _ in range(p.several(5, 14)):
        spot = p.rng.uniform(-0.85, 0.85, 2) * size[[0, 2]]
        solids += p.thing([spot[0], top, spot[1]], p.uniform(0.05, 0.18))
    for _ in range(p.several(2, 5)):
        solids += _against_wall(p, half)
    for _ in range(p.several(1, 5)):
        solids += _picture(p, half)
    target = np.array([0, top - 0.1, 0]) + p.rng.normal(0, 0.1, 3)
    return _indoors(p, "table", solids, half, target, near=0.7, far=1.8)


def clutter(palette: Palette) -> StagedScene:
    """A heap of many things, turned anyhow."""
    p = palette
    half = np.array([p.uniform(2, 3.5), p.uniform(1.2, 1.8), p.uniform(2, 3.5)])
    solids = [_walls(p, half)]
    reach = p.uniform(0.6, 1.4)
    for _ in range(p.several(18, 40)):
        size = p.rng.uniform(0.05, 0.35, 3)
        spot = p.rng.normal(0, 0.5, 2) * reach
        lift = abs(p.rng.normal(0, 0.35))
        center = [spot[0], half[1] - size.mean() - lift, spot[1]]
        shape = Shape(int(p.rng.choice([Shape.BOX, Shape.ELLIPSOID, Shape.CYLINDER])))
        if shape == Shape.CYLINDER:
            size[2] = size[0]
        solids.append(p.solid(shape, center, size, rotation=p.any_turn()))
    target = np.array([0, half[1] - 0.4, 0]) + p.rng.normal(0, 0.2, 3)
    return _indoors(p, "clutter", solids, half, target, near=1.0, far=2.4)


def bare_room(palette: Palette) -> StagedScene:
    """A room of plain walls with few pictures and mostly untextured things."""
    p = palette
    p.plain_share = 0.8
    half = np.array([p.uniform(1.8, 3.5), p.uniform(1.2, 1.6), p.uniform(1.8, 3.5)])
    solids = [_walls(p, half, plain=True)]
    for _ in range(p.several(4, 9)):
        solids += _picture(p, half, plain=False)
    for _ in range(p.several(3, 6)):
        solids += _against_wall(p, half)
    for _ in range(p.several(3, 7)):
        spot = p.rng.uniform(-0.7, 0.7, 2) * half[[0, 2]]
        solids += p.thing([spot[0], half[1], spot[1]], p.uniform(0.15, 0.45))
    target = p.rng.uniform(-0.5, 0.5, 3) * half
    return _indoors(p, "bare room", solids, half, target, near=1.0, far=2.6)


def _walls(p: Palette, half: Float64, *, plain: bool | None = None) -> Solid:
    material = p.material(scale=float(half.max()) * 0.6, same_faces=p.chance(0.3), plain=plain)
    return p.solid(Shape.ENCLOSURE, [0, 0, 0], half, material=material)


def _wall_place(p: Palette, half: Float64) -> tuple[int, float, float]:
    """Axis of a wall, its side and a place along it."""
    axis = int(p.rng.choice([0, 2]))
    return axis, float(p.rng.choice([-1, 1])), p.uniform(-0.85, 0.85) * half[2 - axis]


def _against_wall(p: Palette, half: Float64) -> list[Solid]:
    """A cupboard or a shelf."""
    axis, side, along = _wall_place(p, half)
    deep, wide, high = p.uniform(0.12, 0.35), p.uniform(0.25, 0.8), p.uniform(0.3, 1.0)
    center, size = np.empty(3), np.empty(3)
    center[[axis, 2 - axis]] = side * (half[axis] - deep - 0.01), along
    size[[axis, 2 - axis]] = deep, wide
    center[1], size[1] = half[1] - high, high
    if p.chance(0.6):
        return [p.box(center, size)]
    boards = []
    material = p.material()
    for level in np.linspace(-0.95, 0.95, p.several(3, 5)):
        shelf = center + np.array([0, level * high, 0])
        boards.append(p.box(shelf, size * [1, 0.02 / high, 1], material))
        for _ in range(p.several(0, 2)):
            spot = shelf.copy()
            spot[2 - axis] += p.uniform(-0.8, 0.8) * wide
            boards += p.thing(spot - [0, 0.02, 0], p.uniform(0.05, 0.13))
    return boards


def _picture(p: Palette, half: Float64, *, plain: bool | None = None) -> list[Solid]:
    axis, side, along = _wall_place(p, half)
    center, size = np.empty(3), np.empty(3)
    center[[axis, 2 - axis]] = side * (half[axis] - 0.02), along
    size[[axis, 2 - axis]] = 0.015, p.uniform(0.12, 0.6)
    center[1], size[1] = p.uniform(-0.7, 0.4) * half[1], p.uniform(0.12, 0.5)
    scale = float(size.max()) * 1.5
    return [p.box(center, size, p.material(scale=scale, plain=plain))]


def _indoors(
    p: Palette,
    kind: str,
    solids: list[Solid],
    half: Float64,
    target: Float64,
    *,
    near: float,
    far: float,
) -> StagedScene:
    inside = half - _WALL_GAP
    scene = SceneDescription(
        kind=kind,
        solids=tuple(solids),
        light=light(p),
        ambient=p.uniform(0.4, 0.85),
        open_sky=False,
    )
    stage = Stage(
        target=target,
        spread=0.4 * float(half[[0, 2]].min()),
        near=near,
        far=far,
        low=-inside * [1, 0.8, 1],
        high=inside * [1, 0.7, 1],
    )
    return scene, stage
