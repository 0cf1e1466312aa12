"""Models whose images move together, as models whose images move by themselves."""

from __future__ import annotations

import numpy as np
import pycolmap


def has_rigs(model: pycolmap.Reconstruction) -> bool:
    """Tell whether some cameras are held together by a rig."""
    return any(rig.num_sensors() > 1 for rig in model.rigs.values())


def without_rigs(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """Return a copy in which every image has a frame, and every camera a rig, of its own.

    Ids of cameras, images and points stay; images without a pose are left out.
    """
    result = pycolmap.Reconstruction()
    for _, camera in sorted(model.cameras.items()):
        result.add_camera_with_trivial_rig(camera)
    placed = {image_id for image_id, image in model.images.items() if image.has_pose}
    for image_id in sorted(placed):
        image = model.image(image_id)
        alone = pycolmap.Image(
            name=image.name,
            keypoints=np.array([p.xy for p in image.points2D], np.float64).reshape(-1, 2),
            camera_id=image.camera_id,
            image_id=image_id,
        )
        result.add_image_with_trivial_frame(alone, image.cam_from_world())
    for point_id, point in sorted(model.points3D.items()):
        track = pycolmap.Track()
        for element in point.track.elements:
            if element.image_id in placed:
                track.add_element(element.image_id, element.point2D_idx)
        copy = pycolmap.Point3D(xyz=point.xyz, color=point.color, track=track)
        result.add_point3D_with_id(point_id, copy)
    result.update_point_3d_errors()
    return result
