"""A reader of COLMAP folders that keeps gsplat's rules, and the text that COLMAP documents.

gsplat pairs the files of ``images`` and of ``images_n`` by sorted order and takes no notice of
their names; it divides intrinsics by n and rounds sizes down.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SplatView:
    """One photograph as gsplat sees it: a pinhole camera."""

    name: str
    photo: Path
    K: Array  # (3, 3) px of the reduced photograph
    size: tuple[int, int]
    cam_from_world: Array  # (3, 4)
    seen: dict[int, Array]  # id of a point -> px in the full photograph

    def project(self, xyz: Array) -> Array:
        """Return (N, 2) px of (N, 3) world points; what the trainer's rasteriser does."""
        in_camera = xyz @ self.cam_from_world[:, :3].T + self.cam_from_world[:, 3]
        in_image = in_camera @ self.K.T
        return np.asarray(in_image[:, :2] / in_image[:, 2:])

    def pixels(self) -> Array:
        """Return the (H, W, 3) photograph, whose size must be the one that K stands for."""
        with Image.open(self.photo) as image:
            assert image.size == self.size, (self.photo, image.size, self.size)
            return np.asarray(image.convert("RGB")).astype(np.float64)


def relative_files(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, relative to it, sorted as strings."""
    found = []
    for parent, _, names in os.walk(folder):
        found += [os.path.relpath(Path(parent, name), folder) for name in names]
    return sorted(found)


def read_gsplat(folder: Path, factor: int = 1) -> tuple[list[SplatView], dict[int, Array]]:
    """Read a folder at a data factor; return views sorted by name, and points by id."""
    sparse = folder / "sparse" / "0"
    if not sparse.is_dir():
        sparse = folder / "sparse"
    cameras, images, points = read_text(sparse)
    full = relative_files(folder / "images")
    reduced_folder = folder / (f"images_{factor}" if factor > 1 else "images")
    reduced = relative_files(reduced_folder)
    assert len(full) == len(reduced)
    photo_of = dict(zip(full, reduced, strict=True))
    assert sorted(images) == full, "every photograph must be an image of the model, and vice versa"
    views = []
    for name in sorted(images):
        pose, camera_id, seen = images[name]
        word, width, height, params = cameras[camera_id]
        assert word in ("SIMPLE_PINHOLE", "PINHOLE"), word
        fx, fy, cx, cy = params if word == "PINHOLE" else (params[0], *params)
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
        K[:2] /= factor
        views.append(
            SplatView(
                name=name,
                photo=reduced_folder / photo_of[name],
                K=K,
                size=(width // factor, height // factor),
                cam_from_world=pose,
                seen=seen,
            )
        )
    return views, points


Cameras = dict[int, tuple[str, int, int, list[float]]]
Images = dict[str, tuple[Array, int, dict[int, Array]]]


def read_text(sparse: Path) -> tuple[Cameras, Images, dict[int, Array]]:
    """Read a model through COLMAP's text files; a binary one is converted by pycolmap."""
    if (sparse / "images.txt").is_file():
        return _cameras(sparse), _images(sparse), _points(sparse)
    with tempfile.TemporaryDirectory() as scratch:
        pycolmap.Reconstruction(sparse).write_text(scratch)
        return read_text(Path(scratch))


def _rows(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split(" ") for line in lines if not line.startswith("#")]


def _cameras(sparse: Path) -> Cameras:
    """CAMERA_ID MODEL WIDTH HEIGHT PARAMS."""
    return {
        int(row[0]): (row[1], int(row[2]), int(row[3]), [float(value) for value in row[4:]])
        for row in _rows(sparse / "cameras.txt")
    }


def _images(sparse: Path) -> Images:
    """IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, and below it X Y POINT3D_ID of each point."""
    rows = _rows(sparse / "images.txt")
    found: Images = {}
    for head, below in zip(rows[::2], rows[1::2], strict=True):
        w, x, y, z = map(float, head[1:5])
        pose = np.column_stack(
            [Rotation.from_quat([x, y, z, w]).as_matrix(), [float(value) for value in head[5:8]]]
        )
        seen = {
            int(below[k + 2]): np.array([float(below[k]), float(below[k + 1])])
            for k in range(0, len(below) - 2, 3)
            if int(below[k + 2]) >= 0
        }
        found[" ".join(head[9:])] = (pose, int(head[8]), seen)
    return found


def _points(sparse: Path) -> dict[int, Array]:
    """POINT3D_ID X Y Z R G B ERROR and the track."""
    rows = _rows(sparse / "points3D.txt")
    return {int(row[0]): np.array([float(value) for value in row[1:4]]) for row in rows}


def dot_centre(pixels: Array, near: Array, reach: float) -> Array:
    """Return the (2,) centre of brightness in a window around a pixel, corner origin."""
    x0, y0 = np.floor(near - reach).astype(int)
    x1, y1 = np.ceil(near + reach).astype(int)
    window = pixels[y0:y1, x0:x1].mean(axis=2)
    weight = window.sum()
    assert weight > 0, f"no dot near {near}"
    x, y = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
    return np.array([(x * window).sum(), (y * window).sum()]) / weight
