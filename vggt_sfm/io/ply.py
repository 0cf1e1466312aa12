"""Point clouds as binary PLY."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vggt_sfm._checks import Float32, Float64, UInt8, check_shape
from vggt_sfm._files import replacing

_VERTEX = np.dtype(
    [(axis, "<f4") for axis in ("x", "y", "z")] + [(c, "u1") for c in ("red", "green", "blue")]
)


def write_points(
    path: Path, xyz: Float32 | Float64, rgb: UInt8, comments: Sequence[str] = ()
) -> None:
    """Write coloured points; equal points give equal bytes, and no half file is ever seen.

    Args:
        path: File to create or replace.
        xyz: (N, 3) scene units, stored as float32.
        rgb: (N, 3).
        comments: ASCII lines for the header: PLY has no other place for a unit.

    Raises:
        ValueError: If the shapes do not fit.
    """
    dims = check_shape("write_points.xyz", xyz, "N 3")
    check_shape("write_points.rgb", rgb, "N 3", dims)
    vertices = np.empty(len(xyz), _VERTEX)
    for axis, name in enumerate(("x", "y", "z")):
        vertices[name] = xyz[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = rgb[:, channel]
    properties = [f"property float {axis}" for axis in "xyz"]
    properties += [f"property uchar {color}" for color in ("red", "green", "blue")]
    header = ["ply", "format binary_little_endian 1.0", *(f"comment {line}" for line in comments)]
    header += [f"element vertex {len(xyz)}", *properties]
    content = "\n".join([*header, "end_header", ""]).encode() + vertices.tobytes()
    with replacing(path) as temporary:
        temporary.write_bytes(content)
