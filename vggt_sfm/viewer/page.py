"""A scene as one HTML file that needs no server and asks for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm._log import Progress
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.viewer import drawing
from vggt_sfm.viewer.content import Content, content
from vggt_sfm.viewer.server import start_server, stop_server

if TYPE_CHECKING:
    import viser

_THUMBNAIL_PX = (24, 160)
_WHOLE_THUMBNAILS = 150  # photographs; of more, the pictures are smaller and as many bytes in all
_LEAST_RANK = 0.3  # the page has no slider: what is least sure is left out
_THIS_MACHINE = "127.0.0.1"
# Positions in steps of about this part of the distance to the scene compress by a third.
_STEPS = 2**13
_LIGHT = "darkMode:false"
_AS_PREFERRED = 'darkMode:matchMedia("(prefers-color-scheme: dark)").matches'


def static_page(
    opened: OpenedModel, max_points: int = 200_000, progress: Progress | None = None
) -> str:
    """Return a self-contained page of a scene: a file, or the ``srcdoc`` of an iframe.

    It shows points and cameras; cameras and points before the adjustment are in its scene tree,
    hidden at first. Light or dark follows what the reader prefers. Equal scenes give equal pages.

    Args:
        opened: The model and what lies beside it; any part of it may be missing.
        max_points: Points at most, in all sets together.
        progress: Told about each photograph.

    Raises:
        CapabilityError: If viser is not installed, or this machine has no loopback address, where
            viser listens while the page is made.
    """
    factor = np.sqrt(_WHOLE_THUMBNAILS / max(1, len(opened.frames)))
    thumbnail_px = int(np.clip(factor * _THUMBNAIL_PX[1], *_THUMBNAIL_PX))
    shown = content(opened, max_points, thumbnail_px, progress)
    server = start_server(_THIS_MACHINE, 0)
    try:
        drawing.set_scene(server, shown)
        _draw(server, shown)
        html = server.get_scene_serializer().as_html()
    finally:
        stop_server(server)
    return html.replace(_LIGHT, _AS_PREFERRED, 1)


def _draw(server: viser.ViserServer, shown: Content) -> None:
    dense, sparse, before = shown.dense, shown.sparse, shown.before
    kept = dense.rank >= _LEAST_RANK
    for name, xyz, rgb in (
        (drawing.SPARSE, sparse.xyz, sparse.rgb),
        (drawing.DENSE, dense.xyz[kept], dense.rgb[kept]),
        (drawing.BEFORE, before.xyz, drawing.tinted(before.rgb)),
    ):
        rounded, size = _rounded(xyz, shown.distance), drawing.point_size(name, shown)
        drawing.draw_points(server, name, rounded, rgb, size, visible=name != drawing.BEFORE)
    depth = drawing.frustum_depth(shown)
    drawing.draw_cameras(
        server, drawing.CAMERAS, shown.cameras, shown.thumbnails, depth, drawing.COLOR
    )
    if shown.cameras_before:
        drawing.draw_cameras(
            server, drawing.CAMERAS_BEFORE, shown.cameras_before, {}, depth, drawing.COLOR_BEFORE
        )
        drawing.draw_moves(server, shown)
        for name in (drawing.CAMERAS_BEFORE, drawing.MOVES):
            node = server.scene.get_handle_by_name(name)
            if node is not None:
                node.visible = False


def _rounded(xyz: Float64, distance: float) -> Float64:
    step = 2.0 ** np.floor(np.log2(distance / _STEPS))
    return np.asarray(np.rint(xyz / step) * step)
