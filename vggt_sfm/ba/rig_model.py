"""Rigs of several cameras in COLMAP models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm.ba.bundle import Bundle
from vggt_sfm.ba.rigs import Rigs
from vggt_sfm.geometry.rigid import compose, invert


def add_images(
    model: pycolmap.Reconstruction,
    cameras: Mapping[int, pycolmap.Camera],
    images: Mapping[int, pycolmap.Image],
    bundle: Bundle,
) -> None:
    """Add cameras and images, those that a rig holds together in a rig and in frames of it.

    A rig gets the id of its reference camera, a frame that of its reference image, or of its first
    image where that is missing.

    Args:
        model: What to add to.
        cameras: By row in the bundle, with their ids; those of rigs are among them.
        images: Likewise.
        bundle: Poses, and the rigs that they satisfy.
    """
    rigs = bundle.rigs
    together = set() if rigs is None else set(rigs.camera_of.tolist())
    for row, camera in cameras.items():
        if row in together:
            model.add_camera(camera)
        else:
            model.add_camera_with_trivial_rig(camera)
    for row, image in images.items():
        if rigs is None or rigs.moment_of[row] < 0:
            model.add_image_with_trivial_frame(image, _rigid3d(bundle.cam_from_world[row]))
    if rigs is not None:
        _add_rigs(model, cameras, rigs)
        _add_frames(model, cameras, images, bundle.cam_from_world, rigs)


def with_rigs(model: pycolmap.Reconstruction, bundle: Bundle) -> pycolmap.Reconstruction:
    """Return a copy of a model in which the rigs of its bundle hold cameras together.

    Ids of cameras, images and points stay; images without a pose are left out.

    Args:
        model: Every image is a frame of its own, with the bundle's pose.
        bundle: With rigs.
    """
    result = pycolmap.Reconstruction()
    cameras = {
        c: pycolmap.Camera(model.cameras[i].todict()) for c, i in enumerate(sorted(model.cameras))
    }
    images = {}
    for s, image_id in enumerate(bundle.image_ids.tolist()):
        image = model.image(image_id)
        images[s] = pycolmap.Image(
            name=image.name,
            keypoints=np.array([p.xy for p in image.points2D], np.float64).reshape(-1, 2),
            camera_id=image.camera_id,
            image_id=image_id,
        )
    add_images(result, cameras, images, bundle)
    for point_id, point in sorted(model.points3D.items()):
        result.add_point3D_with_id(point_id, point)
    return result


def _add_rigs(
    model: pycolmap.Reconstruction, cameras: Mapping[int, pycolmap.Camera], rigs: Rigs
) -> None:
    for r in np.unique(rigs.rig_of):
        reference, *others = np.flatnonzero(rigs.rig_of == r).tolist()
        camera = cameras[int(rigs.camera_of[reference])]
        rig = pycolmap.Rig(rig_id=camera.camera_id)
        rig.add_ref_sensor(camera.sensor_id)
        for k in others:
            sensor_id = cameras[int(rigs.camera_of[k])].sensor_id
            rig.add_sensor(sensor_id, _rigid3d(rigs.sensor_from_rig[k]))
        model.add_rig(rig)


def _add_frames(
    model: pycolmap.Reconstruction,
    cameras: Mapping[int, pycolmap.Camera],
    images: Mapping[int, pycolmap.Image],
    cam_from_world: Float64,
    rigs: Rigs,
) -> None:
    moments: dict[int, list[int]] = {}
    for row in sorted(images, key=lambda row: int(rigs.sensor_of[row])):
        if rigs.moment_of[row] >= 0:
            moments.setdefault(int(rigs.moment_of[row]), []).append(row)
    for rows in moments.values():
        k = int(rigs.sensor_of[rows[0]])
        reference = int(rigs.camera_of[np.searchsorted(rigs.rig_of, rigs.rig_of[k])])
        frame = pycolmap.Frame(
            frame_id=images[rows[0]].image_id, rig_id=cameras[reference].camera_id
        )
        for row in rows:
            images[row].frame_id = frame.frame_id
            frame.add_data_id(images[row].data_id)
        frame.rig_from_world = _rigid3d(
            compose(invert(rigs.sensor_from_rig[k]), cam_from_world[rows[0]])
        )
        model.add_frame(frame)
        for row in rows:
            model.add_image(images[row])


def _rigid3d(pose: Float64) -> pycolmap.Rigid3d:
    return pycolmap.Rigid3d(np.ascontiguousarray(pose))
