"""Small pictures of the photographs: with residuals drawn over them, and of their depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vggt_sfm._checks import Float32
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.io.thumbnails import depth_picture, thumbnail
from vggt_sfm.report.charts import data_url
from vggt_sfm.report.measures import Observations

_LONG_SIDE_PX = 320
_LONG_SIDE_OF_MANY_PX = 200
_MANY = 80
MOST_PICTURES = 200
"""Photographs that get pictures, the worst ones; the table has all."""
RESIDUAL_SCALE = 20
"""Residuals are drawn this many times longer than they are."""
_MOST_RESIDUALS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the strip shows of one photograph."""

    photo: str
    """Data URL; empty if the file was not found."""
    depth: str
    """Data URL; empty without depth."""
    overlay: str
    """SVG path in px of the photograph: from each observation towards its point's projection."""
    width: int
    """Of the photograph, px."""
    height: int


def picture(opened: OpenedModel, seen: Observations, s: int, count: int) -> Picture:
    """Make the pictures of photograph ``s`` of ``count``.

    Raises:
        InputError: If the photograph cannot be decoded.
    """
    name = seen.names[s]
    frame = opened.frames.get(name)
    long_side = _LONG_SIDE_PX if count <= _MANY else _LONG_SIDE_OF_MANY_PX
    image = opened.model.find_image_with_name(name)
    camera = opened.model.cameras[image.camera_id] if image is not None else None
    size = (camera.width, camera.height) if camera else frame.size if frame else (4, 3)
    depth = opened.depths.get(name)
    return Picture(
        photo=data_url(thumbnail(frame, long_side), "jpeg") if frame else "",
        depth=_depth(depth.of_photo()[0], long_side // 2) if depth else "",
        overlay=_overlay(seen, s),
        width=size[0],
        height=size[1],
    )


def _depth(depth: Float32, long_side: int) -> str:
    image = Image.fromarray(depth_picture(depth))
    image.thumbnail((long_side, long_side))
    return data_url(image, "jpeg")


def _overlay(seen: Observations, s: int) -> str:
    rows = np.flatnonzero(seen.image_of == s)
    rows = rows[np.isfinite(seen.errors_px[rows])]
    rows = rows[:: max(1, -(-len(rows) // _MOST_RESIDUALS))]
    start = seen.xy[rows]
    move = RESIDUAL_SCALE * (seen.projected[rows] - start)
    return "".join(
        f"M{x:.0f} {y:.0f}l{dx:.1f} {dy:.1f}"
        for (x, y), (dx, dy) in zip(start.tolist(), move.tolist(), strict=True)
    )
