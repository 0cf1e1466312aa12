"""Readers of trajectories, depth files and GLB, written from the descriptions of these formats.

Sources: the KITTI and TUM formats as evo's wiki has them, and glTF 2.0.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def read_tum(path: Path) -> tuple[Array, Array, Array]:
    """Return (N,) times, (N, 3) positions and (N, 4) xyzw of a TUM trajectory."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    assert all(len(row) == 8 for row in rows)
    values = np.array(rows, np.float64).reshape(-1, 8)
    return values[:, 0], values[:, 1:4], values[:, 4:]


def read_kitti(path: Path) -> Array:
    """Return the (N, 3, 4) world_from_cam of a KITTI trajectory."""
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    assert all(len(row) == 12 for row in rows)
    return np.array(rows, np.float64).reshape(-1, 3, 4)


@dataclass(frozen=True, kw_only=True)
class DepthFile:
    """Depth with its camera, corner origin."""

    depth: Array  # (H, W)
    confidence: Array  # (H, W)
    intrinsics: Array  # (3, 3)
    cam_from_world: Array  # (3, 4)
    unit: str

    def unprojected(self) -> Array:
        """Return the (N, 3) world points of all pixels that have depth."""
        row, column = np.nonzero(self.depth > 0)
        pixels = np.stack([column + 0.5, row + 0.5, np.ones(len(row))])
        in_camera = np.linalg.solve(self.intrinsics, pixels) * self.depth[row, column]
        rotation, shift = self.cam_from_world[:, :3], self.cam_from_world[:, 3:]
        return np.asarray((rotation.T @ (in_camera - shift)).T)


def read_npz(path: Path) -> DepthFile:
    """Read ``NAME.npz``."""
    with np.load(path) as file:
        assert str(file["pixel_origin"]) == "corner"
        arrays = {
            key: file[key].astype(np.float64)
            for key in ("depth", "confidence", "intrinsics", "cam_from_world")
        }
        return DepthFile(**arrays, unit=str(file["unit"]))


def read_exr(path: Path) -> DepthFile:
    """Read ``NAME.exr`` with the library of the format."""
    import OpenEXR

    with OpenEXR.File(str(path)) as file:
        header, channels = file.header(), file.channels()
        assert header["pixel_origin"] == "corner"

        def numbers(key: str, shape: Sequence[int]) -> Array:
            return np.array(header[key].split(), np.float64).reshape(shape)

        return DepthFile(
            depth=channels["Z"].pixels.astype(np.float64),
            confidence=channels["confidence"].pixels.astype(np.float64),
            intrinsics=numbers("intrinsics", (3, 3)),
            cam_from_world=numbers("cam_from_world", (3, 4)),
            unit=header["unit"],
        )


def read_glb(path: Path) -> tuple[Array, Array]:
    """Return the (N, 3) points and (M, 2, 3) lines of a binary glTF, y up.

    trimesh must open it too, but takes the ends of separate lines for one long one.
    """
    import trimesh

    content = path.read_bytes()
    magic, version, length, size = struct.unpack("<4sIII", content[:16])
    assert (magic, version, length) == (b"glTF", 2, len(content))
    told = json.loads(content[20 : 20 + size])
    body = content[28 + size :]
    points, lines = np.empty((0, 3)), np.empty((0, 2, 3))
    for number in told["scenes"][told["scene"]]["nodes"]:
        node = told["nodes"][number]
        assert not {"matrix", "rotation", "scale", "translation", "children"} & set(node)
        (primitive,) = told["meshes"][node["mesh"]]["primitives"]
        assert "indices" not in primitive
        accessor = told["accessors"][primitive["attributes"]["POSITION"]]
        assert (accessor["componentType"], accessor["type"]) == (5126, "VEC3")  # float32
        view = told["bufferViews"][accessor["bufferView"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        xyz = np.frombuffer(body, "<f4", 3 * accessor["count"], start).reshape(-1, 3)
        if primitive["mode"] == 0:
            points = xyz.astype(np.float64)
        else:
            assert primitive["mode"] == 1  # separate lines
            lines = xyz.astype(np.float64).reshape(-1, 2, 3)
    scene = trimesh.load_scene(path)
    clouds = [g for g in scene.geometry.values() if isinstance(g, trimesh.PointCloud)]
    assert sum(len(cloud.vertices) for cloud in clouds) == len(points)
    return points, lines
