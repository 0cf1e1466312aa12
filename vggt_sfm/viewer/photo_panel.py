"""The photograph that was picked: its picture, its depth, what is known of it, and its view."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vggt_sfm._checks import Float32, UInt8
from vggt_sfm.geometry.rigid import quat_xyzw_from_rotation
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.viewer import drawing
from vggt_sfm.viewer.content import Content
from vggt_sfm.viewer.pictures import overlay, small_photo
from vggt_sfm.viewer.texts import camera_facts, facts_table, picture_html

if TYPE_CHECKING:
    import viser

_PICTURE_PX = 640


class PhotoPanel:
    """Shows one photograph at a time; it is picked from a list or by a click on its camera."""

    def __init__(
        self,
        server: viser.ViserServer,
        opened: OpenedModel,
        scene: Content,
        frusta: Sequence[viser.CameraFrustumHandle],
    ) -> None:
        self._opened = opened
        self._scene = scene
        self._frusta = frusta
        self._before = {camera.name: camera for camera in scene.cameras_before}
        self._numbers = {camera.name: n for n, camera in enumerate(scene.cameras)}
        self._lock = threading.RLock()  # picking changes the list, which picks
        self._picked: int | None = None
        self._photo: UInt8 | None = None
        self._depth: Float32 | None = None
        if not scene.cameras:
            return
        self._build(server.gui)
        for number, frustum in enumerate(frusta):
            self._follow_clicks(number, frustum)
        self.pick(0)

    @property
    def picked(self) -> str | None:
        """Name of the photograph that is shown."""
        return None if self._picked is None else self._scene.cameras[self._picked].name

    def pick(self, number: int) -> None:
        """Show a photograph by its place in the order of names."""
        with self._lock:
            if number == self._picked:
                return
            if self._picked is not None:
                self._mark(self._picked, False)
            self._picked = number
            self._mark(number, True)
            camera = self._scene.cameras[number]
            self._names.value = camera.name  # type: ignore[misc]  # mypy misses viser's setter
            self._photo = small_photo(self._opened, camera.name, _PICTURE_PX)
            depth = self._opened.depths.get(camera.name)
            self._depth = None if depth is None else depth.of_photo()[0]
            self._mix.visible = self._photo is not None and self._depth is not None
            before = self._before.get(camera.name)
            self._facts.content = facts_table(camera_facts(camera, before, self._scene.unit))
            self._paint()

    def look_through(self, number: int, client: viser.ClientHandle) -> None:
        """Move a reader's view to where a camera stands."""
        camera = self._scene.cameras[number]
        view = client.camera
        with client.atomic():
            view.wxyz = np.roll(quat_xyzw_from_rotation(camera.world_from_cam[:, :3]), 1)
            view.position = camera.center
            # What the mouse turns the view around.
            view.look_at = camera.center + self._scene.distance * camera.forward
            view.fov = camera.fov_y_rad

    def _build(self, gui: viser.GuiApi) -> None:
        with gui.add_folder("Photograph"):
            names = [camera.name for camera in self._scene.cameras]
            self._names = gui.add_dropdown("photograph", names, initial_value=names[0])
            self._picture = gui.add_html("")
            self._mix = gui.add_slider(
                "photograph to depth",
                0.0,
                1.0,
                0.05,
                initial_value=0.0,
                hint="Lays the predicted depth over the photograph: yellow is near, blue is far.",
            )
            look = gui.add_button("look through this camera")
            self._facts = gui.add_html("")
        self._names.on_update(lambda _: self.pick(self._numbers[self._names.value]))
        self._mix.on_update(lambda _: self._paint())

        @look.on_click
        def _(event: viser.GuiEvent[viser.GuiButtonHandle]) -> None:
            if event.client is not None and self._picked is not None:
                self.look_through(self._picked, event.client)

    def _follow_clicks(self, number: int, frustum: viser.CameraFrustumHandle) -> None:
        @frustum.on_click
        def _(event: viser.SceneNodePointerEvent[viser.CameraFrustumHandle]) -> None:
            self.pick(number)
            self.look_through(number, event.client)

    def _mark(self, number: int, picked: bool) -> None:
        """Take the picture out of the picked camera: who looks through it looks past it."""
        frustum = self._frusta[number]
        thumbnail = self._scene.thumbnails.get(self._scene.cameras[number].name)
        frustum.color = drawing.COLOR_PICKED if picked else drawing.COLOR
        if thumbnail is not None:
            frustum.image = None if picked else thumbnail

    def _paint(self) -> None:
        with self._lock:
            mix = float(self._mix.value)
            picture = overlay(self._photo, self._depth, mix, _PICTURE_PX)
            self._picture.content = "" if picture is None else picture_html(picture)
