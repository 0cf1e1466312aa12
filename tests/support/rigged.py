"""A model of photographs that two cameras took at once."""

from __future__ import annotations

import numpy as np
import pycolmap
from synthetic import orbit

SIZE = (400, 300)
_BASELINE = 0.4  # between the cameras of the rig, at 5 from what they look at


def rigged(moments: int = 4, points: int = 150, noise_px: float = 0.3) -> pycolmap.Reconstruction:
    """Two images a moment, poses and points somewhat off; ids are no rows."""
    rng = np.random.default_rng(0)
    model = pycolmap.Reconstruction()
    cameras = [
        pycolmap.Camera(
            camera_id=7 + c, model="SIMPLE_PINHOLE", width=SIZE[0], height=SIZE[1], params=params
        )
        for c, params in enumerate([(440, 200, 150), (400, 195, 155)])
    ]
    for camera in cameras:
        model.add_camera(camera)
    beside = pycolmap.Rigid3d(pycolmap.Rotation3d(), [-_BASELINE, 0, 0])
    rig = pycolmap.Rig(rig_id=3)
    rig.add_ref_sensor(cameras[0].sensor_id)
    rig.add_sensor(cameras[1].sensor_id, beside)
    model.add_rig(rig)
    xyz = rng.uniform(-1, 1, (points, 3))
    tracks = [pycolmap.Track() for _ in xyz]
    for n, pose in enumerate(orbit(moments, 60)):
        true = pycolmap.Rigid3d(np.ascontiguousarray(pose))
        frame = pycolmap.Frame(frame_id=20 + n, rig_id=rig.rig_id)
        images = []
        for c, camera in enumerate(cameras):
            cam_from_world = beside * true if c else true
            xy = camera.img_from_cam(np.array([cam_from_world * x for x in xyz]))
            image = pycolmap.Image(
                name=f"cam{c}/{n}.jpg",
                keypoints=xy + rng.normal(0, noise_px, xy.shape),
                camera_id=camera.camera_id,
                image_id=100 + 2 * n + c,
            )
            image.frame_id = frame.frame_id
            frame.add_data_id(image.data_id)
            images.append(image)
        off = rng.normal(0, 0.03, 3)
        frame.rig_from_world = pycolmap.Rigid3d(true.rotation, true.translation + off)
        model.add_frame(frame)
        for image in images:
            model.add_image(image)
            for k, track in enumerate(tracks):
                track.add_element(image.image_id, k)
    for k, track in enumerate(tracks):
        point = pycolmap.Point3D(xyz=xyz[k] + rng.normal(0, 0.02, 3), color=(k, 9, 9), track=track)
        model.add_point3D_with_id(1000 + k, point)
    model.update_point_3d_errors()
    return model
