"""Points and cameras as binary glTF, for browsers and 3D programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm._files import replacing
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert, transform_points
from vggt_sfm.io.opened import OpenedModel, point_arrays

# glTF has y up: from a world whose y is down, as with COLMAP's first camera, and from one of east,
# north and up.
_FROM_Y_DOWN = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0]])
_FROM_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]])
_CAMERA_COLOR = (9, 105, 218, 255)
# Frusta are drawn this long, of the cameras' usual distance to the points.
_FRUSTUM = 0.05


def export_glb(opened: OpenedModel, path: Path) -> None:
    """Write coloured points and the frusta of the cameras, y up.

    Raises:
        InputError: If there are neither.
    """
    import trimesh  # an extra

    turn = _FROM_Z_UP if opened.georeferenced else _FROM_Y_DOWN
    scene = trimesh.Scene()
    xyz, rgb, _ = point_arrays(opened.model)
    if len(xyz):
        cloud = trimesh.PointCloud(  # type: ignore[no-untyped-call]
            transform_points(turn, xyz), colors=rgb
        )
        scene.add_geometry(cloud, node_name="points", geom_name="points")
    lines = frusta(opened, _FRUSTUM * _usual_distance(opened, xyz))
    if len(lines):
        path3d = trimesh.load_path(transform_points(turn, lines))
        path3d.colors = np.tile(_CAMERA_COLOR, (len(path3d.entities), 1))
        scene.add_geometry(path3d, node_name="cameras", geom_name="cameras")
    if not scene.geometry:
        raise InputError("the model has neither points nor images with a pose to make a GLB from")
    content = scene.export(file_type="glb")  # type: ignore[no-untyped-call]
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def frusta(opened: OpenedModel, length: float) -> Float64:
    """Return (N, 2, 3) line segments in the world: eight for each camera, ``length`` deep."""
    segments = []
    for image in opened.images():
        camera = opened.model.cameras[image.camera_id]
        size = np.array([camera.width, camera.height], np.float64)
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size
        center = np.array([camera.principal_point_x, camera.principal_point_y])
        focal = np.array([camera.focal_length_x, camera.focal_length_y])
        rays = np.concatenate([(corners - center) / focal, np.ones((4, 1))], axis=1) * length
        tips = np.concatenate([np.zeros((1, 3)), rays])
        world = transform_points(invert(image.cam_from_world().matrix()), tips)
        ends = [(0, k) for k in range(1, 5)] + [(k, k % 4 + 1) for k in range(1, 5)]
        segments += [world[list(pair)] for pair in ends]
    return np.array(segments).reshape(-1, 2, 3)


def _usual_distance(opened: OpenedModel, xyz: Float64) -> float:
    centers = [invert(image.cam_from_world().matrix())[:, 3] for image in opened.images()]
    if not centers or not len(xyz):
        return 1.0
    return float(np.median(np.linalg.norm(xyz - np.median(centers, axis=0), axis=1))) or 1.0
