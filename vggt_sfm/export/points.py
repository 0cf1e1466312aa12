"""The points of a model as a point cloud."""

from __future__ import annotations

from pathlib import Path

import pycolmap

from vggt_sfm import __version__
from vggt_sfm.io.opened import point_arrays
from vggt_sfm.io.ply import write_points


def export_ply(model: pycolmap.Reconstruction, path: Path, unit: str) -> None:
    """Write coloured points in the world of the model; the header names unit and program."""
    xyz, rgb, _ = point_arrays(model)
    write_points(path, xyz, rgb, [f"unit {unit}", f"vggt-sfm {__version__}"])
