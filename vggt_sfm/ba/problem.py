"""The part of a bundle that one solve works on, as a COLMAP model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, Int64
from vggt_sfm.ba.bundle import Bundle
from vggt_sfm.ba.rig_model import add_images


def active_model(
    bundle: Bundle, active: Bool, images: Int64, points: Int64
) -> pycolmap.Reconstruction:
    """Build the part of the model that is adjusted; ids are rows plus one, points count up.

    Args:
        bundle: The whole.
        active: (M,) observations that count.
        images: Rows of the images that they are of.
        points: Rows of the points that they are of.
    """
    model = pycolmap.Reconstruction()
    taking = bundle.camera_of[images]
    if bundle.rigs is not None:
        taking = np.concatenate([taking, bundle.rigs.camera_of])
    cameras = {}
    for c in np.unique(taking).tolist():
        cameras[c] = pycolmap.Camera(bundle.cameras[c].todict())
        cameras[c].camera_id = c + 1
    rows = np.flatnonzero(active)
    point2d_of = np.empty(len(bundle.xy), np.int64)
    taken = {}
    for s in images.tolist():
        mine = rows[bundle.image_of[rows] == s]
        point2d_of[mine] = np.arange(len(mine))
        taken[s] = pycolmap.Image(
            name=str(s),
            keypoints=bundle.xy[mine],
            camera_id=int(bundle.camera_of[s]) + 1,
            image_id=s + 1,
        )
    add_images(model, cameras, taken, bundle)
    first = np.searchsorted(bundle.point_of[rows], points)
    last = np.append(first[1:], len(rows))
    image_ids = (bundle.image_of[rows] + 1).tolist()
    point2d = point2d_of[rows].tolist()
    for n, begin, end in zip(points.tolist(), first.tolist(), last.tolist(), strict=True):
        track = pycolmap.Track()
        for m in range(begin, end):
            track.add_element(image_ids[m], point2d[m])
        model.add_point3D(bundle.xyz[n], track)  # ids count up from 1 in this order
    return model


def read_back(
    bundle: Bundle, model: pycolmap.Reconstruction, images: Int64, points: Int64
) -> Bundle:
    """Return a bundle with what was adjusted of it, and images that rigs move along."""
    poses, xyz = bundle.cam_from_world.copy(), bundle.xyz.copy()
    for s in images.tolist():
        poses[s] = model.image(s + 1).cam_from_world().matrix()
    for row, n in enumerate(points.tolist()):
        xyz[n] = model.point3D(row + 1).xyz
    cameras = list(bundle.cameras)
    for camera_id, camera in model.cameras.items():
        cameras[camera_id - 1] = pycolmap.Camera(camera.todict())
    rigs = bundle.rigs
    if rigs is not None:
        moved = rigs.sensor_from_rig.copy()
        for k in np.flatnonzero(~rigs.references).tolist():
            reference = rigs.camera_of[np.searchsorted(rigs.rig_of, rigs.rig_of[k])]
            sensor_id = model.camera(int(rigs.camera_of[k]) + 1).sensor_id
            found = model.rig(int(reference) + 1).sensor_from_rig(sensor_id)
            moved[k] = found.matrix()  # type: ignore[union-attr]  # every sensor has one
        rigs = replace(rigs, sensor_from_rig=moved)
        active = np.zeros(len(poses))
        active[images] = 1
        poses = rigs.held_together(poses, active)
    return replace(bundle, cam_from_world=poses, xyz=xyz, cameras=tuple(cameras), rigs=rigs)
