"""The cameras that the viewer shows, and where it looks from at the start."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.io.opened import placed_images

# What a frustum can show; lenses that see more are drawn like this.
_WIDEST_RAD = np.radians(150)
_USUAL_VIEW_RAD = np.radians(50)
_STEEP = 0.9
_BEHIND, _ABOVE = 0.35, 0.2  # of the distance to the scene


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ShownCamera:
    """One photograph's camera."""

    name: str
    world_from_cam: Float64  # (3, 4) OpenCV axes
    fov_y_rad: float
    aspect: float
    """Width over height of what it sees at a distance of 1."""
    num_points: int
    mean_error_px: float
    """NaN where no point tells."""
    size: tuple[int, int]
    """Width and height of the photograph, px."""

    @property
    def center(self) -> Float64:
        """Where it stands, (3,) world."""
        return self.world_from_cam[:, 3]

    @property
    def forward(self) -> Float64:
        """Where it looks, (3,) world, of length 1."""
        return self.world_from_cam[:, 2]

    @property
    def up(self) -> Float64:
        """Where the upper edge of its photograph is, (3,) world, of length 1."""
        return -self.world_from_cam[:, 1]

    def moved(self, shift: Float64) -> ShownCamera:
        """Return the camera (3,) further on in the world."""
        return replace(
            self,
            world_from_cam=self.world_from_cam + np.append(np.zeros((3, 3)), shift[:, None], 1),
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class View:
    """A place to look from."""

    position: Float64  # (3,) world
    look_at: Float64  # (3,) world
    up: Float64  # (3,) world
    fov_rad: float  # vertical
    near: float  # scene units
    far: float  # scene units


def shown_cameras(model: pycolmap.Reconstruction, errors_px: dict[str, float]) -> list[ShownCamera]:
    """Return the cameras of all images with a pose, in natural order of their names."""
    cameras = []
    for image in placed_images(model):
        camera = model.cameras[image.camera_id]
        K = camera.calibration_matrix()
        width, height = camera.width / K[0, 0], camera.height / K[1, 1]
        cameras.append(
            ShownCamera(
                name=image.name,
                world_from_cam=invert(image.cam_from_world().matrix()),
                fov_y_rad=float(min(2 * np.arctan(height / 2), _WIDEST_RAD)),
                aspect=float(width / height),
                num_points=image.num_points3D,
                mean_error_px=errors_px.get(image.name, float("nan")),
                size=(camera.width, camera.height),
            )
        )
    return cameras


def up_direction(cameras: list[ShownCamera], georeferenced: bool) -> Float64:
    """Return the (3,) direction that is up: +Z by definition, or the cameras' mean."""
    if georeferenced or not cameras:
        return np.array([0.0, 0.0, 1.0])
    mean = np.mean([camera.up for camera in cameras], axis=0)
    length = float(np.linalg.norm(mean))
    # Cameras that are held in all directions have no mean; any of them is as good.
    return np.asarray(mean / length) if length > 0.1 else cameras[0].up


def scene_distance(cameras: list[ShownCamera], xyz: Float64) -> float:
    """Return the median distance of the cameras to the points, above 0.

    Without points: twice the median distance of the cameras to their mean, or 1.
    """
    centers = np.array([camera.center for camera in cameras]).reshape(-1, 3)
    if len(centers) and len(xyz):
        some = xyz[:: max(1, len(xyz) // 2000)]
        each = [float(np.median(np.linalg.norm(some - center, axis=1))) for center in centers]
        distance = float(np.median(each))
    elif len(centers) > 1:
        distance = 2 * float(np.median(np.linalg.norm(centers - centers.mean(axis=0), axis=1)))
    else:
        distance = 1.0
    return distance if distance > 0 and np.isfinite(distance) else 1.0


def start_view(cameras: list[ShownCamera], xyz: Float64, up: Float64, distance: float) -> View:
    """Look at the scene from behind and above the first camera.

    Args:
        cameras: In order; without any, the view is from outside the points.
        xyz: (N, 3) points.
        up: (3,) of length 1.
        distance: Of cameras and points.
    """
    if cameras:
        first = cameras[0]
        in_front = xyz[(xyz - first.center) @ first.forward > 0.1 * distance]
        look_at = (
            np.median(in_front, axis=0)
            if len(in_front)
            else (first.center + distance * first.forward)
        )
        position = first.center - _BEHIND * distance * first.forward + _ABOVE * distance * up
        if abs(first.forward @ up) > _STEEP:  # straight down on a map: no way to tell what is up
            position = position - distance * first.up
    else:
        look_at = np.median(xyz, axis=0) if len(xyz) else np.zeros(3)
        across = np.roll(up, 1)
        position = look_at + 2 * distance * (across + 0.5 * up)
    return View(
        position=position,
        look_at=look_at,
        up=up,
        fov_rad=float(_USUAL_VIEW_RAD),
        near=distance / 1000,
        far=distance * 1000,
    )
