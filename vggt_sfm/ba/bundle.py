"""A COLMAP model as flat arrays, so that filters and statistics are a few lines of numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, Float64, Int64, freeze
from vggt_sfm.ba.rigs import Rigs
from vggt_sfm.geometry.rigid import invert, transform_points

_REFERENCE_WIDTH_PX = 518


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Bundle:
    """S images, N points and M observations; original px and scene units."""

    image_ids: Int64  # (S,) ascending
    names: tuple[str, ...]
    camera_of: Int64  # (S,) row in ``cameras``
    cameras: tuple[pycolmap.Camera, ...]  # never changed in place
    cam_from_world: Float64  # (S, 3, 4)
    point_ids: Int64  # (N,) ascending
    xyz: Float64  # (N, 3)
    point_of: Int64  # (M,) row in ``xyz``, ascending
    image_of: Int64  # (M,) row in ``image_ids``
    point2d_of: Int64  # (M,) index among the image's 2D points
    xy: Float64  # (M, 2)
    rigs: Rigs | None = None
    """What the poses satisfy; None: every image moves by itself."""

    def __post_init__(self) -> None:
        freeze(self)


def read_bundle(reconstruction: pycolmap.Reconstruction) -> Bundle:
    """Copy a model into arrays, in the order of its ids."""
    image_ids = sorted(reconstruction.reg_image_ids())
    camera_ids = sorted(reconstruction.cameras)
    point_ids = sorted(reconstruction.point3D_ids())
    row_of_image = {image_id: row for row, image_id in enumerate(image_ids)}
    images = [reconstruction.image(image_id) for image_id in image_ids]
    points = [reconstruction.point3D(point_id) for point_id in point_ids]
    pixels = [
        np.array([point.xy for point in image.points2D], np.float64).reshape(-1, 2)
        for image in images
    ]
    elements = np.array(
        [
            (row, row_of_image[element.image_id], element.point2D_idx)
            for row, point in enumerate(points)
            for element in point.track.elements
        ],
        np.int64,
    ).reshape(-1, 3)
    xy = np.empty((len(elements), 2))
    for row, xy_of_image in enumerate(pixels):
        mine = elements[:, 1] == row
        xy[mine] = xy_of_image[elements[mine, 2]]
    poses = [image.cam_from_world().matrix() for image in images]
    return Bundle(
        image_ids=np.array(image_ids, np.int64),
        names=tuple(image.name for image in images),
        camera_of=np.array([camera_ids.index(image.camera_id) for image in images], np.int64),
        cameras=tuple(
            pycolmap.Camera(reconstruction.camera(camera_id).todict()) for camera_id in camera_ids
        ),
        cam_from_world=np.array(poses, np.float64).reshape(-1, 3, 4),
        point_ids=np.array(point_ids, np.int64),
        xyz=np.array([point.xyz for point in points], np.float64).reshape(-1, 3),
        point_of=elements[:, 0],
        image_of=elements[:, 1],
        point2d_of=elements[:, 2],
        xy=xy,
    )


def write_bundle(
    bundle: Bundle, reconstruction: pycolmap.Reconstruction, keep: Bool
) -> pycolmap.Reconstruction:
    """Return a copy of the model a bundle was read from, with the bundle's values.

    Args:
        bundle: New poses, intrinsics and points.
        reconstruction: The model it was read from, unchanged; every image is a frame of its own.
        keep: (M,) observations that stay; points left with fewer than two are removed.

    Returns:
        The new model, with point errors up to date.
    """
    result = pycolmap.Reconstruction(reconstruction)
    for row, camera in enumerate(bundle.cameras):
        for s in np.flatnonzero(bundle.camera_of == row)[:1]:
            camera_id = result.image(int(bundle.image_ids[s])).camera_id
            result.camera(camera_id).model = camera.model
            result.camera(camera_id).params = list(camera.params)
    for image_id, pose in zip(bundle.image_ids.tolist(), bundle.cam_from_world, strict=True):
        # Only a write through the frame reaches the model: image.cam_from_world() is a copy.
        frame = result.frame(result.image(image_id).frame_id)
        frame.rig_from_world = pycolmap.Rigid3d(np.ascontiguousarray(pose))
    views = np.bincount(bundle.point_of[keep], minlength=len(bundle.xyz))
    for point_id, xyz, count in zip(
        bundle.point_ids.tolist(), bundle.xyz, views.tolist(), strict=True
    ):
        if count < 2:
            result.delete_point3D(point_id)
        else:
            result.point3D(point_id).xyz = xyz
    for m in np.flatnonzero(~keep & (views[bundle.point_of] >= 2)):
        result.delete_observation(
            int(bundle.image_ids[bundle.image_of[m]]), int(bundle.point2d_of[m])
        )
    result.update_point_3d_errors()
    return result


def measure(bundle: Bundle) -> tuple[Float64, Float64]:
    """Return the (M,) reprojection errors, px, and (M,) depths, scene units.

    The error is infinite where a point is not in front of its camera or something is not finite.
    """
    error = np.full(len(bundle.xy), np.inf)
    depth = np.full(len(bundle.xy), -np.inf)
    for s in range(len(bundle.image_ids)):
        rows = np.flatnonzero(bundle.image_of == s)
        in_camera = transform_points(bundle.cam_from_world[s], bundle.xyz[bundle.point_of[rows]])
        projected = bundle.cameras[bundle.camera_of[s]].img_from_cam(in_camera)
        distance = np.linalg.norm(projected - bundle.xy[rows], axis=1)
        error[rows] = np.where(np.isfinite(distance), distance, np.inf)
        depth[rows] = in_camera[:, 2]
    return error, depth


def depths(bundle: Bundle) -> Float64:
    """Return the (M,) depth of every observation's point in its camera, scene units."""
    optical_axis = bundle.cam_from_world[bundle.image_of, 2]
    xyz = bundle.xyz[bundle.point_of]
    return np.asarray((optical_axis[:, :3] * xyz).sum(axis=1) + optical_axis[:, 3])


def triangulation_angles_deg(bundle: Bundle, active: Bool) -> Float64:
    """Return the (N,) largest angle between any two active rays of each point, degrees."""
    rows = np.flatnonzero(active)
    point = bundle.point_of[rows]
    centers = invert(bundle.cam_from_world)[:, :, 3]
    ray = bundle.xyz[point] - centers[bundle.image_of[rows]]
    ray /= np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-300)
    smallest_cosine = np.ones(len(bundle.xyz))
    # Observations are sorted by point: a pair of one track is k rows apart for some small k.
    for k in range(1, int(np.bincount(point).max(initial=1))):
        same = np.flatnonzero(point[k:] == point[:-k])
        cosine = np.einsum("nd,nd->n", ray[same], ray[same + k])
        np.minimum.at(smallest_cosine, point[same], cosine)
    return np.asarray(np.degrees(np.arccos(np.clip(smallest_cosine, -1, 1))))


def pixels_a_reference_pixel(bundle: Bundle) -> float:
    """Return how many image pixels are one at the width at which thresholds are told."""
    longer = [max(camera.width, camera.height) for camera in bundle.cameras]
    return float(np.median(longer)) / _REFERENCE_WIDTH_PX


def focal_lengths(bundle: Bundle) -> Float64:
    """Return the (S,) focal length of each image, px."""
    focals = np.array([camera.mean_focal_length() for camera in bundle.cameras])
    return np.asarray(focals[bundle.camera_of])


def with_focal_lengths(bundle: Bundle, longer_sides: float) -> Bundle:
    """Return the bundle with other focal lengths, in longer sides of the images; points stay."""
    cameras = []
    for camera in bundle.cameras:
        params = np.array(camera.params)
        factor = longer_sides * max(camera.width, camera.height) / camera.mean_focal_length()
        params[list(camera.focal_length_idxs())] *= factor
        cameras.append(pycolmap.Camera({**camera.todict(), "params": params}))
    return replace(bundle, cameras=tuple(cameras))
