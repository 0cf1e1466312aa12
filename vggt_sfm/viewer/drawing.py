"""Put the content into a viser scene; for the live page and for the static one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vggt_sfm._checks import Float64, UInt8
from vggt_sfm.geometry.rigid import quat_xyzw_from_rotation
from vggt_sfm.viewer.cameras import ShownCamera
from vggt_sfm.viewer.content import Content

if TYPE_CHECKING:
    import viser

SPARSE, DENSE, BEFORE = "/points/sparse", "/points/dense", "/points/before adjustment"
CAMERAS, CAMERAS_BEFORE, MOVES = "/cameras", "/cameras before adjustment", "/camera moves"

# Seen on white and on black, and told apart with any kind of colour vision.
COLOR = (30, 115, 215)
COLOR_BEFORE = (235, 125, 25)
COLOR_PICKED = (220, 40, 120)
_COLOR_MOVES = (150, 150, 150)
_LINE_PX, _THIN_LINE_PX = 2.0, 1.2
_LONGEST_FRUSTUM = 0.1  # of the distance to the scene
_SHORTEST_FRUSTUM = 0.02
_SPACING_FILLED = 0.7  # by a frustum, of the distance to the next camera
_SPARSE_POINT = 1 / 300  # of the distance to the scene
_DENSE_FILLING = 1.3
_DENSE_POINT = (1 / 600, 1 / 150)  # at least and at most
_TINT = 0.8
_JPEG_QUALITY = 80


def set_scene(server: viser.ViserServer, content: Content) -> None:
    """Set up direction and start view, and put hidden axes where the world has its origin."""
    scene, camera, view = server.scene, server.initial_camera, content.view
    scene.set_up_direction(content.up)
    camera.position, camera.look_at, camera.up = view.position, view.look_at, view.up
    camera.fov, camera.near, camera.far = view.fov_rad, view.near, view.far
    axes = scene.world_axes
    axes.position = -content.origin
    axes.axes_length, axes.axes_radius = content.distance / 4, content.distance / 200
    axes.visible = False


def point_size(name: str, content: Content) -> float:
    """Return the usual size of a set of points, scene units.

    Dense points are as large as to close most gaps between them, however many there are.
    """
    if name != DENSE:
        return content.distance * _SPARSE_POINT
    count = max(1, len(content.dense.xyz))
    return content.distance * float(np.clip(_DENSE_FILLING / np.sqrt(count), *_DENSE_POINT))


def tinted(rgb: UInt8) -> UInt8:
    """Return (N, 3) colours as points have before the adjustment."""
    mixed = (1 - _TINT) * rgb.astype(np.float32) + _TINT * np.array(COLOR_BEFORE, np.float32)
    return np.rint(mixed).astype(np.uint8)


def draw_points(
    server: viser.ViserServer,
    name: str,
    xyz: Float64,
    rgb: UInt8,
    size: float,
    visible: bool = True,
) -> None:
    """Show points under a name, in place of those that had it; none are no node.

    Args:
        server: Where.
        name: Of the node.
        xyz: (N, 3) positions.
        rgb: (N, 3) colours.
        size: Side of a point, scene units.
        visible: Whether they are seen at first.
    """
    if len(xyz):
        server.scene.add_point_cloud(
            name,
            xyz.astype(np.float32),
            rgb,
            point_size=size,
            point_shape="circle",
            point_shading="flat",
            precision="float32",  # 16 bits would lay the points on visible steps
            visible=visible,
        )
    elif server.scene.get_handle_by_name(name) is not None:
        server.scene.remove_by_name(name)


def draw_cameras(
    server: viser.ViserServer,
    folder: str,
    cameras: Sequence[ShownCamera],
    thumbnails: Mapping[str, UInt8],
    depth: float,
    color: tuple[int, int, int],
) -> list[viser.CameraFrustumHandle]:
    """Draw a frustum for each camera.

    Args:
        server: Where.
        folder: Name of the node that holds them.
        cameras: Which.
        thumbnails: Pictures to show in them, by name; empty for plain frusta.
        depth: Length of a frustum, scene units.
        color: RGB of the lines.
    """
    handles = []
    server.scene.add_frame(folder, show_axes=False)
    for number, camera in enumerate(cameras, start=1):
        quat_xyzw = quat_xyzw_from_rotation(camera.world_from_cam[:, :3])
        handles.append(
            server.scene.add_camera_frustum(
                f"{folder}/{number} {camera.name.replace('/', ':')}",
                fov=camera.fov_y_rad,
                aspect=camera.aspect,
                scale=_scale(camera, depth),
                thickness=_LINE_PX if thumbnails else _THIN_LINE_PX,
                thickness_units="screen",
                color=color,
                image=thumbnails.get(camera.name),
                jpeg_quality=_JPEG_QUALITY,
                wxyz=np.roll(quat_xyzw, 1),
                position=camera.center,
                cast_shadow=False,
                receive_shadow=False,
            )
        )
    return handles


def draw_moves(server: viser.ViserServer, content: Content) -> None:
    """Join each camera's places before and after the adjustment by a line."""
    before = {camera.name: camera.center for camera in content.cameras_before}
    lines = [(before[c.name], c.center) for c in content.cameras if c.name in before]
    if lines:
        server.scene.add_line_segments(
            MOVES,
            np.array(lines, np.float32),
            _COLOR_MOVES,
            thickness=_LINE_PX,
            thickness_units="screen",
        )


def frustum_depth(content: Content) -> float:
    """Return how long frusta are drawn, scene units: short where cameras stand close together."""
    centers = np.array([camera.center for camera in content.cameras]).reshape(-1, 3)
    longest = _LONGEST_FRUSTUM * content.distance
    if len(centers) < 2:
        return longest
    from scipy.spatial import cKDTree  # not for help texts

    spacing = float(np.median(cKDTree(centers).query(centers, k=2)[0][:, 1]))
    return float(np.clip(_SPACING_FILLED * spacing, _SHORTEST_FRUSTUM * content.distance, longest))


def _scale(camera: ShownCamera, depth: float) -> float:
    """Return what viser wants for a frustum of this length: it scales by the volume."""
    y = np.tan(camera.fov_y_rad / 2)
    return float(depth * np.cbrt(y * y * camera.aspect / 3))
