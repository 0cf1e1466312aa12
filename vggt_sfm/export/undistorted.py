"""A model whose cameras are pinholes, and the photographs that go with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, UInt8
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.io.photos import exported_name

# Without distortion all of these are the same; a fisheye camera never is a pinhole.
_PERSPECTIVE = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV")
# Where observations are put that the pinhole camera cannot see: outside every image.
_NOWHERE = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class Undistorter:
    """Turns photographs of a model's cameras into those of pinhole cameras."""

    cameras: dict[int, pycolmap.Camera]
    """As they are, by id."""
    pinholes: dict[int, pycolmap.Camera]
    """What they become; of the same size where there is no distortion."""

    def changes(self, camera_id: int) -> bool:
        """Tell whether pixels of this camera move."""
        return not is_pinhole(self.cameras[camera_id])

    def photo(self, pixels: UInt8, camera_id: int) -> UInt8:
        """Undistort the (H, W, 3) or (H, W) pixels of a photograph."""
        if not self.changes(camera_id):
            return pixels
        bitmap = pycolmap.Bitmap.from_array(np.ascontiguousarray(pixels))
        options = pycolmap.UndistortCameraOptions()
        result, _ = pycolmap.undistort_image(options, bitmap, self.cameras[camera_id])
        return np.asarray(result.to_array())

    def mask(self, usable: Bool, camera_id: int) -> Bool:
        """Undistort (H, W) usable pixels; those that mix with others are not usable."""
        return np.asarray(self.photo(np.where(usable, 255, 0).astype(np.uint8), camera_id) == 255)


def is_pinhole(camera: pycolmap.Camera) -> bool:
    """Tell whether a camera has no distortion."""
    distortion = np.array(camera.params)[list(camera.extra_params_idxs())]
    return camera.model_name in _PERSPECTIVE and not distortion.any()


def undistorted(opened: OpenedModel) -> tuple[pycolmap.Reconstruction, Undistorter]:
    """Make a PINHOLE model of those photographs that were found.

    Poses and points stay; observations move to where the pinhole cameras see them. Images are
    named as they are exported; images without a pose or photograph are left out, and observations
    where a lens has no inverse.

    Args:
        opened: The model.

    Returns:
        The new model, and what does the same to the photographs.
    """
    model = opened.model
    wanted = [image for image in opened.images() if image.name in opened.frames]
    cameras = {i: model.cameras[i] for i in sorted({image.camera_id for image in wanted})}
    undistorter = Undistorter(cameras, {i: _pinhole(c) for i, c in cameras.items()})
    result = pycolmap.Reconstruction()
    for camera in undistorter.pinholes.values():
        result.add_camera_with_trivial_rig(camera)
    kept: dict[int, Bool] = {}
    for image in wanted:
        xy = _moved(image, undistorter)
        kept[image.image_id] = np.isfinite(xy).all(axis=1)
        copy = pycolmap.Image(
            name=exported_name(image.name),
            keypoints=np.where(kept[image.image_id][:, None], xy, _NOWHERE),
            camera_id=image.camera_id,
            image_id=image.image_id,
        )
        result.add_image_with_trivial_frame(copy, image.cam_from_world())
    _add_points(result, model, kept)
    result.update_point_3d_errors()
    return result, undistorter


def _pinhole(camera: pycolmap.Camera) -> pycolmap.Camera:
    if not is_pinhole(camera):
        pinhole = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), camera)
        pinhole.camera_id = camera.camera_id
        return pinhole
    center = camera.principal_point_x, camera.principal_point_y
    return pycolmap.Camera(
        camera_id=camera.camera_id,
        model="PINHOLE",
        width=camera.width,
        height=camera.height,
        params=[camera.focal_length_x, camera.focal_length_y, *center],
    )


def _moved(image: pycolmap.Image, undistorter: Undistorter) -> np.ndarray:
    xy = np.array([point.xy for point in image.points2D], np.float64).reshape(-1, 2)
    if not len(xy) or not undistorter.changes(image.camera_id):
        return xy
    rays = np.asarray(undistorter.cameras[image.camera_id].cam_from_img(xy))
    homogeneous = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
    return np.asarray(undistorter.pinholes[image.camera_id].img_from_cam(homogeneous))


def _add_points(
    result: pycolmap.Reconstruction, model: pycolmap.Reconstruction, kept: dict[int, Bool]
) -> None:
    """Add the points that are seen at kept places, by image and number, under their ids."""
    for point_id, point in sorted(model.points3D.items()):
        track = pycolmap.Track()
        for element in point.track.elements:
            if element.image_id in kept and kept[element.image_id][element.point2D_idx]:
                track.add_element(element.image_id, element.point2D_idx)
        if track.length():
            copy = pycolmap.Point3D(xyz=point.xyz, color=point.color, track=track)
            result.add_point3D_with_id(point_id, copy)
