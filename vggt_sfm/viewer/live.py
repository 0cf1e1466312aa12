"""The live viewer: a page with controls, served until it is stopped."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from vggt_sfm._checks import Bool
from vggt_sfm._log import Progress
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.viewer import drawing
from vggt_sfm.viewer.content import MOST_POINTS, Content, content
from vggt_sfm.viewer.controls import AFTER, BEFORE, DENSE, SPARSE, Controls
from vggt_sfm.viewer.photo_panel import PhotoPanel
from vggt_sfm.viewer.points import Points
from vggt_sfm.viewer.server import USUAL_PORT, address_url, start_server, stop_server

if TYPE_CHECKING:
    import viser

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How much of everything is on the page at the moment."""

    sparse: int
    dense: int
    before: int
    """Points before the adjustment."""
    cameras: int
    cameras_before: int


class LiveViewer:
    """A page that is served; end it with ``stop``, or as a context."""

    def __init__(self, server: viser.ViserServer, opened: OpenedModel, scene: Content) -> None:
        self.server = server
        self.scene = scene
        self._lock = threading.Lock()  # controls call from viser's threads, several at a time
        server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="large")
        server.gui.main_panel.dock_right()
        drawing.set_scene(server, scene)
        depth = drawing.frustum_depth(scene)
        frusta = drawing.draw_cameras(
            server, drawing.CAMERAS, scene.cameras, scene.thumbnails, depth, drawing.COLOR
        )
        drawing.draw_cameras(
            server, drawing.CAMERAS_BEFORE, scene.cameras_before, {}, depth, drawing.COLOR_BEFORE
        )
        drawing.draw_moves(server, scene)
        self.controls = Controls(server.gui, scene)
        self.photos = PhotoPanel(server, opened, scene, frusta)
        self.controls.on_points(self._refresh_points)
        self.controls.on_cameras(self._refresh_cameras)
        self.controls.on_size(self._refresh_sizes)
        self.controls.on_look(self._refresh_look)
        self.shown = Shown(sparse=0, dense=0, before=0, cameras=0, cameras_before=0)
        self._refresh_cameras()

    @property
    def url(self) -> str:
        """What a browser on this machine opens."""
        return address_url(self.server.get_host(), self.server.get_port())

    def stop(self) -> None:
        """Stop serving and end all threads."""
        stop_server(self.server)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _refresh_points(self) -> None:
        scene, controls = self.scene, self.controls
        with self._lock:  # read within it: the last to draw has read the last values
            sets, states = controls.point_sets, controls.camera_states
            enough = scene.sparse.track_length >= controls.track_length
            enough_before = scene.before.track_length >= controls.track_length
            sure = scene.dense.rank >= controls.percentile / 100
            self.shown = Shown(
                sparse=self._points(drawing.SPARSE, enough & (SPARSE in sets and AFTER in states)),
                before=self._points(
                    drawing.BEFORE, enough_before & (SPARSE in sets and BEFORE in states)
                ),
                dense=self._points(drawing.DENSE, sure & (DENSE in sets)),
                cameras=len(scene.cameras) if AFTER in states else 0,
                cameras_before=len(scene.cameras_before) if BEFORE in states else 0,
            )
            controls.say(self.shown.sparse, self.shown.before, self.shown.dense)

    def _points(self, name: str, rows: Bool) -> int:
        """Show the chosen points of a set, and return how many these are."""
        scene = self.scene
        sets: dict[str, Points] = {
            drawing.SPARSE: scene.sparse,
            drawing.BEFORE: scene.before,
            drawing.DENSE: scene.dense,
        }
        points = sets[name]
        rgb = points.rgb[rows]
        if name == drawing.BEFORE:
            rgb = drawing.tinted(rgb)
        drawing.draw_points(self.server, name, points.xyz[rows], rgb, self._size(name))
        return int(np.count_nonzero(rows))

    def _size(self, name: str) -> float:
        return drawing.point_size(name, self.scene) * self.controls.point_scale

    def _refresh_cameras(self) -> None:
        states = self.controls.camera_states
        with self.server.atomic():
            for name, seen in (
                (drawing.CAMERAS, AFTER in states),
                (drawing.CAMERAS_BEFORE, BEFORE in states),
                (drawing.MOVES, len(states) == 2),
            ):
                node = self.server.scene.get_handle_by_name(name)
                if node is not None:
                    node.visible = seen
        self._refresh_points()

    def _refresh_look(self) -> None:
        self.server.scene.world_axes.visible = self.controls.axes
        self.server.gui.configure_theme(
            show_logo=False,
            show_share_button=False,
            control_width="large",
            dark_mode=self.controls.dark,
        )

    def _refresh_sizes(self) -> None:
        from viser import PointCloudHandle

        with self._lock:
            for name in (drawing.SPARSE, drawing.BEFORE, drawing.DENSE):
                cloud = self.server.scene.get_handle_by_name(name)
                if isinstance(cloud, PointCloudHandle):
                    cloud.point_size = self._size(name)


def serve(
    opened: OpenedModel,
    host: str = HOST,
    port: int | None = USUAL_PORT,
    *,
    max_points: int = MOST_POINTS,
    progress: Progress | None = None,
) -> LiveViewer:
    """Serve a page of a scene with controls, and return at once.

    Args:
        opened: The model and what lies beside it; any part of it may be missing.
        host: Name or address to listen on.
        port: Where to listen; None: 8080 or the next free one; 0: any free one.
        max_points: Points at most, in all sets together.
        progress: Told about each photograph.

    Raises:
        CapabilityError: If viser is not installed, or the address cannot be listened on.
    """
    server = start_server(host, port)  # first: a large scene takes its time
    try:
        return LiveViewer(server, opened, content(opened, max_points, progress=progress))
    except BaseException:
        stop_server(server)
        raise
