"""A model with new photographs: what it had stays as it is, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, Float64, Int64, UInt8
from vggt_sfm.localizing.config import LocalizeConfig
from vggt_sfm.localizing.localize import Photographs
from vggt_sfm.localizing.poses import Pose, errors_px
from vggt_sfm.localizing.tracks import (
    NO_POINT,
    PointTracks,
    Posed,
    Triangulated,
    error_px,
    triangulate,
)
from vggt_sfm.tracking.matches import ReadImage

_FEWEST_VIEWS = 2  # of a point


def extend(
    model: pycolmap.Reconstruction,
    photos: Photographs,
    tracks: PointTracks,
    poses: Mapping[int, Pose],
    config: LocalizeConfig,
    read_image: ReadImage,
) -> pycolmap.Reconstruction:
    """Add photographs, what they see of the model's points, and new points.

    Ids of cameras and images go on after those that are there. Photographs of the model get 2D
    points for new points, after their own.

    Args:
        model: The model, unchanged.
        photos: Its photographs and the new ones.
        tracks: Through all of them.
        poses: Of new photographs, by row.
        config: Largest error, and the seed.
        read_image: Returns a frame's (H, W, 3) RGB pixels, for the colours of new points.
    """
    result = pycolmap.Reconstruction(model)
    image_ids = dict(enumerate(photos.image_ids))
    camera_ids = _add_cameras(result, poses)
    for s, pose in sorted(poses.items()):
        image_ids[s] = max([*result.images, *result.frames]) + 1
        image = pycolmap.Image(
            name=photos.frames[s].name,
            camera_id=camera_ids[pose.camera.camera_id],
            image_id=image_ids[s],
        )
        result.add_image_with_trivial_frame(image, pose.cam_from_world)
    posed = photos.posed(model)
    posed.update({s: Posed(pose.cam_from_world, pose.camera) for s, pose in poses.items()})
    places = triangulate(tracks, photos.frames, model, posed, config)
    kept = _kept(model, photos, tracks, places, posed, config)
    uncolored = kept & (tracks.point_ids == NO_POINT)[tracks.track_index]
    uncolored &= tracks.frame_index >= photos.first_new
    colors = _colors(photos, tracks, np.flatnonzero(uncolored), read_image)
    for n in np.unique(tracks.track_index[kept]).tolist():
        rows = tracks.of_track(n)
        elements = pycolmap.Track()
        for row in rows[kept[rows]].tolist():
            image = result.image(image_ids[int(tracks.frame_index[row])])
            image.points2D.append(pycolmap.Point2D(tracks.xy[row]))
            elements.add_element(image.image_id, image.num_points2D() - 1)
        if tracks.point_ids[n] == NO_POINT:
            result.add_point3D(places.xyz[n], elements, colors[n])
        else:
            for element in elements.elements:
                result.add_observation(int(tracks.point_ids[n]), element)
    return result


def _add_cameras(result: pycolmap.Reconstruction, poses: Mapping[int, Pose]) -> dict[int, int]:
    """Add the cameras of poses; return which id stands for each, another one for parts of rigs."""
    wanted = {pose.camera.camera_id: pose.camera for pose in poses.values()}
    next_id = max([*result.cameras, *result.rigs, *wanted]) + 1
    ids = {}
    for camera_id, camera in sorted(wanted.items()):
        ids[camera_id] = camera_id
        if result.exists_camera(camera_id):
            if _is_alone(result, camera):
                continue
            ids[camera_id], next_id = next_id, next_id + 1
        copy = pycolmap.Camera(camera.todict())
        copy.camera_id = ids[camera_id]
        result.add_camera_with_trivial_rig(copy)
    return ids


def _is_alone(model: pycolmap.Reconstruction, camera: pycolmap.Camera) -> bool:
    """Tell whether a camera is the only sensor of the rig of its id, as new images need it."""
    if not model.exists_rig(camera.camera_id):
        return False
    rig = model.rig(camera.camera_id)
    return bool(rig.num_sensors() == 1 and rig.is_ref_sensor(camera.sensor_id))


def _kept(
    model: pycolmap.Reconstruction,
    photos: Photographs,
    tracks: PointTracks,
    places: Triangulated,
    posed: Mapping[int, Posed],
    config: LocalizeConfig,
) -> Bool:
    """Mark the (M,) observations to add: new ones of the model's points, and all of new points."""
    error = np.full(len(tracks.xy), np.inf)
    limit = np.zeros(len(tracks.xy))
    for s, camera in posed.items():
        rows = tracks.of_frame(s)
        limit[rows] = error_px(config.max_error_px, photos.frames[s].size)
        xyz = places.xyz[tracks.track_index[rows]]
        error[rows] = errors_px(camera.cam_from_world, camera.camera, tracks.xy[rows], xyz)
    fits = error <= limit
    point_of = tracks.point_ids[tracks.track_index]
    is_new = tracks.frame_index >= photos.first_new
    again = np.flatnonzero(fits & is_new & (point_of != NO_POINT))
    kept = np.zeros(len(tracks.xy), bool)
    kept[_once(again, tracks.frame_index, point_of, error)] = True
    # COLMAP removes a point with one observation; none may come to hang on a new one.
    lone = [i for i, point in model.points3D.items() if point.track.length() < _FEWEST_VIEWS]
    kept &= ~np.isin(point_of, lone)
    fresh = fits & places.inlier & (point_of == NO_POINT)
    views, new_views = (
        np.bincount(tracks.track_index[rows], minlength=len(places.xyz))
        for rows in (fresh, fresh & is_new)
    )
    shown = (views >= _FEWEST_VIEWS) & (new_views >= 1)
    return np.asarray(kept | (fresh & shown[tracks.track_index]))


def _once(rows: Int64, frame: Int64, point_of: Int64, error: Float64) -> Int64:
    """Choose the best of the rows that see one point in one photograph."""
    rows = rows[np.argsort(error[rows], kind="stable")]
    _, first = np.unique(np.stack([frame[rows], point_of[rows]]), axis=1, return_index=True)
    return rows[first]


def _colors(
    photos: Photographs, tracks: PointTracks, rows: Int64, read_image: ReadImage
) -> dict[int, UInt8]:
    """Return the RGB of tracks, as the first new photograph that shows them has it."""
    colors: dict[int, UInt8] = {}
    for s in np.unique(tracks.frame_index[rows]).tolist():
        mine = rows[tracks.frame_index[rows] == s]
        image = read_image(photos.frames[s])
        column, row = np.floor(tracks.xy[mine]).astype(np.int64).T
        found = image[row.clip(0, len(image) - 1), column.clip(0, image.shape[1] - 1)]
        for n, color in zip(tracks.track_index[mine].tolist(), found, strict=True):
            colors.setdefault(n, color)
    return colors
