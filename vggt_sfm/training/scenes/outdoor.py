"""Streets with façades, open land, and things that stand alone under the sky."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.training.scenes.description import (
    SceneDescription,
    Shape,
    Solid,
    Stage,
    StagedScene,
    turned,
)
from vggt_sfm.training.scenes.palette import Palette

_SKY = 60.0  # half size of the box that carries the sky
_EYE = 1.6  # height of cameras above the ground, about
_GRID = 48  # heights a side of the terrain


def light(p: Palette) -> Float64:
    """Draw where the light comes from, mostly above."""
    towards = p.rng.standard_normal(3) - [0, 1.2, 0]
    return np.asarray(towards / np.linalg.norm(towards))


def street(palette: Palette) -> StagedScene:
    """Façades with windows on one or both sides of a street, with cars, poles and steps."""
    p = palette
    width = p.uniform(3.0, 6.0)
    solids = [_sky(p), _ground(p)]
    sides = [1.0] if p.chance(0.4) else [1.0, -1.0]
    for side in sides:
        z = -6.0
        while z < 8.0:
            length = p.uniform(2.5, 6.0)
            solids += _facade(p, side * width, z + length / 2, length / 2, side)
            z += length + (0.02 if p.chance(0.6) else p.uniform(0.5, 2.0))
    for _ in range(p.several(2, 6)):
        foot = [p.uniform(0.2, 0.8) * width * float(p.rng.choice(sides)), 0, p.uniform(-5, 6)]
        solids += p.thing(foot, p.uniform(0.25, 0.8))
    for _ in range(p.several(0, 5)):
        height = p.uniform(0.8, 2.2)
        place = [p.uniform(0.3, 0.8) * width, -height, p.uniform(-5, 6)]
        solids.append(p.pole(place, p.uniform(0.03, 0.12), height))
    target = np.array([width * p.uniform(0.6, 1.0), -p.uniform(0.5, 2.5), p.uniform(-2, 3)])
    low = np.array([-width * 0.8, -p.uniform(1.8, 3.5), -6])
    return _outdoors(
        p,
        "street",
        solids,
        target,
        spread=2.0,
        near=2.5,
        far=7.0,
        low=low,
        high=[width * 0.5, -0.8, 6],
    )


def terrain(palette: Palette) -> StagedScene:
    """Rolling land with rocks, trees and a hut."""
    p = palette
    heights = _hills(p)
    reach = p.uniform(7, 12)
    rise = p.uniform(0.3, 1.6)
    ground = p.solid(
        Shape.TERRAIN,
        [0, 0, 0],
        [reach, rise, reach],
        material=p.material(scale=p.uniform(1.5, 4.0), plain=False),
    )
    solids = [_sky(p), ground]

    def ground_at(x: float, z: float) -> float:
        row, column = ((np.array([z, x]) / reach + 1) / 2 * (_GRID - 1)).round().astype(int)
        return float(rise * (1 - 2 * heights[row, column]))

    for _ in range(p.several(6, 16)):
        x, z = p.rng.uniform(-0.7, 0.7, 2) * reach
        y = ground_at(x, z)
        if p.chance(0.45):
            solids.append(p.ball([x, y, z], p.rng.uniform(0.2, 0.9, 3)))
        elif p.chance(0.7):
            solids += _tree(p, x, y, z)
        else:
            size = p.rng.uniform(0.5, 1.2, 3)
            solids.append(p.box([x, y - size[1] + 0.3, z], size, rotation=p.yaw()))
    target = np.array([*p.rng.normal(0, 1.0, 1), 0, *p.rng.normal(0, 1.0, 1)])
    target[1] = ground_at(target[0], target[2]) - 0.4
    top = -rise - 0.4
    return _outdoors(
        p,
        "terrain",
        solids,
        target,
        spread=2.0,
        near=2.5,
        far=8.0,
        low=[-0.8 * reach, top - p.uniform(0.5, 4), -0.8 * reach],
        high=[0.8 * reach, top, 0.8 * reach],
        heights=heights,
    )


def thin(palette: Palette) -> StagedScene:
    """Fences, scaffolds and masts in front of a wall."""
    p = palette
    solids = [_sky(p), _ground(p), *_facade(p, 4.0, 0.0, 5.0, 1.0)]
    for _ in range(p.several(1, 3)):
        solids += _fence(p, p.uniform(0.8, 3.0), p.uniform(-2, 1))
    for _ in range(p.several(2, 6)):
        height = p.uniform(0.5, 1.8)
        place = [p.uniform(0.5, 3.4), -height, p.uniform(-3, 3)]
        lean = turned(p.uniform(0, 360), p.uniform(-30, 30)) if p.chance(0.4) else None
        solids.append(p.pole(place, p.uniform(0.015, 0.06), height, rotation=lean))
    for _ in range(p.several(2, 4)):
        solids += p.thing([p.uniform(1, 3.4), 0, p.uniform(-2.5, 2.5)], p.uniform(0.2, 0.6))
    target = np.array([p.uniform(1.5, 3.5), -p.uniform(0.4, 1.2), p.uniform(-0.8, 0.8)])
    return _outdoors(
        p,
        "thin",
        solids,
        target,
        spread=1.2,
        near=2.0,
        far=4.5,
        low=[-3.5, -2.2, -4],
        high=[0.4, -0.6, 4],
    )


def statue(palette: Palette) -> StagedScene:
    """One compound object on open ground, for cameras all around it."""
    p = palette
    solids = [_sky(p), _ground(p)]
    base = p.uniform(0.1, 0.5)
    plinth = [p.uniform(0.3, 0.7), base, p.uniform(0.3, 0.7)]
    solids.append(p.box([0, -base, 0], plinth, rotation=p.yaw()))
    for _ in range(p.several(5, 14)):
        size = p.rng.uniform(0.08, 0.4, 3)
        center = p.rng.normal(0, 0.22, 3) * [1, 1.6, 1] + np.array([0, -2 * base - 0.45, 0])
        shape = Shape(int(p.rng.choice([Shape.BOX, Shape.ELLIPSOID, Shape.CYLINDER])))
        if shape == Shape.CYLINDER:
            size[2] = size[0]
        solids.append(p.solid(shape, center, size, rotation=p.any_turn()))
    for _ in range(p.several(3, 10)):
        angle, away = p.uniform(0, 2 * np.pi), p.uniform(3.5, 9)
        foot = [away * np.sin(angle), 0, away * np.cos(angle)]
        solids += p.thing(foot, p.uniform(0.4, 1.6))
    target = np.array([0, -2 * base - 0.4, 0])
    return _outdoors(
        p,
        "statue",
        solids,
        target,
        spread=0.2,
        near=1.5,
        far=3.2,
        low=[-4, -2.5, -4],
        high=[4, -0.3, 4],
    )


def _sky(p: Palette) -> Solid:
    material = p.material(plain=p.chance(0.3))
    if material.repeat > 0.01:
        material = type(material)(texture=material.texture, repeat=p.uniform(0.006, 0.014))
    return p.solid(Shape.ENCLOSURE, [0, 0, 0], [_SKY, _SKY, _SKY], material=material)


def _ground(p: Palette) -> Solid:
    material = p.material(scale=p.uniform(1, 3), same_faces=True)
    return p.box([0, 0.5, 0], [_SKY - 2, 0.5, _SKY - 2], material)


def _facade(p: Palette, x: float, z: float, half_length: float, side: float) -> list[Solid]:
    """A wall across the x axis with a grid of equal windows, and sometimes a ledge."""
    high = p.uniform(1.5, 4.0)
    deep = p.uniform(0.3, 0.8)
    wall = p.material(scale=p.uniform(1, 3), same_faces=True)
    solids = [p.box([x + side * deep, -high, z], [deep, high, half_length], wall)]
    rows, columns = p.several(1, 3), p.several(2, 4)
    size = np.array([p.uniform(0.03, 0.12), 0.3 * high / rows, 0.3 * half_length / columns])
    size[1:] *= p.rng.uniform(0.8, 2.2, 2)
    window = p.material(scale=float(size.max()) * 2, plain=False)
    for row in range(rows):
        for column in range(columns):
            y = -2 * high * (row + 0.6) / (rows + 0.2)
            across = z + half_length * (2 * (column + 0.5) / columns - 1)
            solids.append(p.box([x, y, across], size, window))
    if p.chance(0.4):
        y = -2 * high * p.uniform(0.3, 0.95)
        solids.append(p.box([x, y, z], [0.15, 0.06, half_length], p.material()))
    return solids


def _fence(p: Palette, x: float, z: float) -> list[Solid]:
    """Equal bars with two rails."""
    bars, gap, height = p.several(6, 14), p.uniform(0.12, 0.4), p.uniform(0.35, 0.9)
    material, radius = p.material(), p.uniform(0.012, 0.04)
    solids = []
    for bar in range(bars):
        solids.append(p.pole([x, -height, z + bar * gap], radius, height, material))
    middle, half = z + (bars - 1) * gap / 2, (bars - 1) * gap / 2
    for level in (0.3, 1.8):
        solids.append(p.box([x, -level * height, middle], [radius, radius, half], material))
    return solids


def _tree(p: Palette, x: float, y: float, z: float) -> list[Solid]:
    height = p.uniform(0.5, 1.2)
    trunk = p.pole([x, y - height, z], p.uniform(0.06, 0.18), height + 0.2)
    leaves = p.material(plain=False, scale=0.6)
    crown = [
        p.ball(
            np.array([x, y - 2 * height - 0.3, z]) + p.rng.normal(0, 0.3, 3),
            p.rng.uniform(0.3, 0.8, 3),
            leaves,
        )
        for _ in range(p.several(1, 4))
    ]
    return [trunk, *crown]


def _hills(p: Palette) -> Float64:
    """Smooth random heights from 0 to 1, (_GRID, _GRID)."""
    frequency = np.hypot(np.fft.fftfreq(_GRID)[:, None], np.fft.fftfreq(_GRID)[None]) * _GRID
    spectrum = np.fft.fft2(p.rng.standard_normal((_GRID, _GRID)))
    spectrum *= np.maximum(frequency, 1.0) ** -p.uniform(1.6, 2.6)
    field = np.fft.ifft2(spectrum).real
    return np.asarray((field - field.min()) / np.ptp(field))


def _outdoors(
    p: Palette,
    kind: str,
    solids: list[Solid],
    target: Float64,
    *,
    spread: float,
    near: float,
    far: float,
    low: list[float] | Float64,
    high: list[float] | Float64,
    heights: Float64 | None = None,
) -> StagedScene:
    scene = SceneDescription(
        kind=kind,
        solids=tuple(solids),
        light=light(p),
        ambient=p.uniform(0.4, 0.85),
        open_sky=True,
        heights=heights,
    )
    stage = Stage(
        target=target,
        spread=spread,
        near=near,
        far=far,
        low=np.asarray(low, np.float64),
        high=np.asarray(high, np.float64),
    )
    return scene, stage
