"""Readers of exports, written from what other programs publish about their formats.

Nothing here is shared with the code that writes: neither formulas nor helpers. Sources:
nerfstudio's documentation ("Data conventions"), instant-ngp's "nerf_dataset_tips", and OpenCV's
camera models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NerfFrame:
    """One photograph of ``transforms.json``, in the world of the model that it was made from."""

    photo: Path
    mask: Path | None
    depth_file: Path | None
    world_from_cam: Array  # (4, 4) OpenCV axes
    lens: dict[str, Any]
    fisheye: bool

    def in_camera(self, xyz: Array) -> Array:
        """Return (N, 3) points of the model's world in the camera: x right, y down, z ahead."""
        cam_from_world = np.linalg.inv(self.world_from_cam)
        return np.asarray(xyz @ cam_from_world[:3, :3].T + cam_from_world[:3, 3])

    def project(self, xyz: Array) -> Array:
        """Return the (N, 2) px, from the photograph's corner, of points of the model's world."""
        x, y, z = self.in_camera(xyz).T
        x, y = x / z, y / z
        bend = fisheye_bend if self.fisheye else brown_bend
        x, y = bend(x, y, self.lens)
        u = self.lens["fl_x"] * x + self.lens["cx"]
        return np.stack([u, self.lens["fl_y"] * y + self.lens["cy"]], axis=1)

    def depth(self, xy: Array) -> Array:
        """Return (N,) scene units at (N, 2) px: 16-bit thousandths, resized to the nearest."""
        assert self.depth_file is not None
        with Image.open(self.depth_file) as image:
            assert image.mode.startswith("I")
            values = np.asarray(image).astype(np.float64) / 1000
        column = np.floor(xy[:, 0] * values.shape[1] / self.lens["w"]).astype(int)
        row = np.floor(xy[:, 1] * values.shape[0] / self.lens["h"]).astype(int)
        return np.asarray(values[row, column])


def brown_bend(x: Array, y: Array, lens: dict[str, Any]) -> tuple[Array, Array]:
    """Distort as OpenCV does with two radial and two tangential coefficients."""
    k1, k2, p1, p2 = (lens.get(word, 0.0) for word in ("k1", "k2", "p1", "p2"))
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def fisheye_bend(x: Array, y: Array, lens: dict[str, Any]) -> tuple[Array, Array]:
    """Distort as OpenCV's fisheye module does: a polynomial of the angle from the axis."""
    k = [lens.get(f"k{n}", 0.0) for n in range(1, 5)]
    r = np.hypot(x, y)
    angle = np.arctan(r)
    bent = angle + sum(k[n] * angle ** (2 * n + 3) for n in range(4))
    factor = np.divide(bent, r, out=np.ones_like(r), where=r > 1e-12)
    return x * factor, y * factor


@dataclass(frozen=True, kw_only=True)
class NerfData:
    """What nerfstudio takes from a folder."""

    frames: dict[str, NerfFrame]  # by path below the folder
    xyz: Array  # points in the model's world
    rgb: NDArray[np.uint8]
    told: dict[str, Any]


_INTRINSICS = ("fl_x", "fl_y", "cx", "cy", "w", "h")
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
_PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE")
_GL_AXES = np.diag([1.0, -1.0, -1.0, 1.0])


def read_transforms(folder: Path) -> NerfData:
    """Read ``transforms.json`` as nerfstudio does.

    The camera model is taken from the top of the file only. An intrinsic or the distortion at the
    top is everybody's; otherwise each frame has its own. Masks and depth are there for all frames
    or for none. ``applied_transform`` was applied to cameras and points.
    """
    told = json.loads((folder / "transforms.json").read_text(encoding="utf-8"))
    applied = np.vstack([np.array(told.get("applied_transform", np.eye(3, 4))), [0, 0, 0, 1]])
    undo = np.linalg.inv(applied)
    word = told.get("camera_model", "OPENCV")
    assert word in (*_PERSPECTIVE, "OPENCV_FISHEYE"), word
    shared_distortion = any(key in told for key in ("k1", "k2", "k3", "p1", "p2"))
    frames = {}
    for entry in told["frames"]:
        lens = {key: told[key] if key in told else entry[key] for key in _INTRINSICS}
        source = told if shared_distortion else entry
        lens |= {key: source.get(key, 0.0) for key in _DISTORTION}
        matrix = np.array(entry["transform_matrix"])
        assert matrix.shape == (4, 4)
        paths = {key: folder / entry[key] for key in _PATHS if key in entry}
        assert all(path.is_file() for path in paths.values()), paths
        frames[entry["file_path"]] = NerfFrame(
            photo=paths["file_path"],
            mask=paths.get("mask_path"),
            depth_file=paths.get("depth_file_path"),
            world_from_cam=undo @ matrix @ _GL_AXES,
            lens=lens,
            fisheye=word == "OPENCV_FISHEYE",
        )
    assert len({frame.mask is None for frame in frames.values()}) == 1
    assert len({frame.depth_file is None for frame in frames.values()}) == 1
    xyz, rgb = read_ply(folder / told["ply_file_path"])
    return NerfData(frames=frames, xyz=xyz @ undo[:3, :3].T + undo[:3, 3], rgb=rgb, told=told)


_PATHS = ("file_path", "mask_path", "depth_file_path")


def read_ply(path: Path) -> tuple[Array, NDArray[np.uint8]]:
    """Read the (N, 3) vertices of a binary PLY and their colours."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = header.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    (count,) = (int(line.split()[2]) for line in lines if line.startswith("element vertex"))
    kinds = {"float": "<f4", "double": "<f8", "uchar": "u1"}
    fields = [line.split()[1:] for line in lines if line.startswith("property")]
    rows = np.frombuffer(body, [(name, kinds[kind]) for kind, name in fields])
    assert len(rows) == count
    xyz = np.stack([rows[axis] for axis in "xyz"], axis=1).astype(np.float64)
    return xyz, np.stack([rows[name] for name in ("red", "green", "blue")], axis=1)


def ngp_positions(data: NerfData) -> tuple[Array, Array, tuple[float, float]]:
    """Return cameras and points where instant-ngp puts them, and its box's lower and upper bound.

    The file's positions are multiplied by ``scale``, then ``offset`` is added. The box is a cube
    around (0.5, 0.5, 0.5) with the side ``aabb_scale``, a power of two up to 128.
    """
    told = data.told
    scale, offset, side = told["scale"], np.array(told["offset"]), told["aabb_scale"]
    assert side in [2**n for n in range(8)]
    applied = np.array(told["applied_transform"])
    in_file = np.array([entry["transform_matrix"] for entry in told["frames"]])[:, :3, 3]
    points = data.xyz @ applied[:, :3].T + applied[:, 3]
    return in_file * scale + offset, points * scale + offset, (0.5 - side / 2, 0.5 + side / 2)
