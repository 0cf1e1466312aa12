"""Photographs of a textured corner of a room, with known cameras."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]
TRUTH_FILE = "truth.json"

# Back wall, floor and left wall, as point on the plane and two axes in it; y points down.
_PLANES = (
    ((0.0, 0.0, 6.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    ((0.0, 1.5, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    ((-3.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
)
_TEXELS_PER_UNIT = 90


@dataclass(frozen=True, kw_only=True)
class View:
    """One camera of the room."""

    width: int
    height: int
    focal: float
    cam_from_world: Array  # (3, 4)


def views(count: int, width: int = 320, height: int = 240) -> list[View]:
    """Cameras on an arc of 40 degrees that look at the back wall."""
    angles = np.radians(np.linspace(-20, 20, count)) if count > 1 else np.zeros(1)
    found = []
    for n, angle in enumerate(angles):
        center = np.array([4.5 * np.sin(angle), 0.2 * (-1) ** n, 5.0 - 4.5 * np.cos(angle)])
        cosine, sine = np.cos(-angle), np.sin(-angle)
        world_from_cam = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
        rotation = world_from_cam.T
        pose = np.column_stack([rotation, -rotation @ center])
        found.append(View(width=width, height=height, focal=0.9 * 320, cam_from_world=pose))
    return found


def render(view: View) -> NDArray[np.uint8]:
    """Cast one ray a pixel; return (H, W, 3)."""
    x, y = np.meshgrid(np.arange(view.width) + 0.5, np.arange(view.height) + 0.5)
    rays = np.stack([x - view.width / 2, y - view.height / 2, np.full_like(x, view.focal)], -1)
    rotation, shift = view.cam_from_world[:, :3], view.cam_from_world[:, 3]
    rays, center = rays @ rotation, -rotation.T @ shift
    nearest = np.full(x.shape, np.inf)
    image = np.zeros((*x.shape, 3))
    for number, (point, u_axis, v_axis) in enumerate(_PLANES):
        normal = np.cross(u_axis, v_axis)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (np.asarray(point) - center) @ normal / (rays @ normal)
            hit = (distance > 0) & (distance < nearest)
            where = center + distance[..., None] * rays - point
        u, v = where[hit] @ u_axis, where[hit] @ v_axis
        image[hit] = _sample(_texture(number), u * _TEXELS_PER_UNIT, v * _TEXELS_PER_UNIT)
        nearest[hit] = distance[hit]
    return np.rint(image).astype(np.uint8)


def depth_map(view: View) -> Array:
    """Return the (H, W) depth of the pixels' centres, along the optical axis."""
    x, y = np.meshgrid(np.arange(view.width) + 0.5, np.arange(view.height) + 0.5)
    rays = np.stack([x - view.width / 2, y - view.height / 2, np.full_like(x, view.focal)], -1)
    rotation, shift = view.cam_from_world[:, :3], view.cam_from_world[:, 3]
    rays, center = rays @ rotation, -rotation.T @ shift
    nearest = np.full(x.shape, np.inf)
    for point, u_axis, v_axis in _PLANES:
        normal = np.cross(u_axis, v_axis)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (np.asarray(point) - center) @ normal / (rays @ normal)
        nearest = np.minimum(nearest, np.where(distance > 0, distance, np.inf))
    return np.asarray(nearest * view.focal)


def write_photos(folder: Path, found: list[View], suffix: str = ".jpg") -> list[Path]:
    """Render the views to ``img1.jpg`` and so on, and the truth beside the folder."""
    folder.mkdir(parents=True)
    paths = []
    truth: dict[str, Any] = {}
    for n, view in enumerate(found, start=1):
        path = folder / f"img{n}{suffix}"
        save(path, view)
        paths.append(path)
        truth[path.stem] = {
            "focal": view.focal,
            "cam_from_world": view.cam_from_world.tolist(),
        }
    (folder.parent / TRUTH_FILE).write_text(json.dumps(truth))
    return paths


def save(path: Path, view: View) -> None:
    """Render a view to a file."""
    Image.fromarray(render(view)).save(path, quality=95)


@cache
def _texture(number: int, side: int = 1024) -> Array:
    """Noise of several sizes, so that features are found at several scales."""
    rng = np.random.default_rng(number)
    total = np.zeros((side, side, 3))
    for blocks, weight in ((16, 60.0), (64, 50.0), (256, 50.0)):
        coarse = rng.uniform(-1, 1, (blocks, blocks, 3))
        total += weight * np.kron(coarse, np.ones((side // blocks, side // blocks, 1)))
    return np.clip(total + 128, 0, 255)


def _sample(texture: Array, u: Array, v: Array) -> Array:
    """Bilinear, repeating."""
    column, row = np.floor(u).astype(int), np.floor(v).astype(int)
    s, t = (u - column)[:, None], (v - row)[:, None]

    def texel(rows: NDArray[np.int_], columns: NDArray[np.int_]) -> Array:
        return texture[rows % len(texture), columns % len(texture)]

    top = texel(row, column) * (1 - s) + texel(row, column + 1) * s
    low = texel(row + 1, column) * (1 - s) + texel(row + 1, column + 1) * s
    return np.asarray(top * (1 - t) + low * t)
