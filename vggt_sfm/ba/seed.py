"""Turns predictions and tracks into a COLMAP model, before any adjustment."""

from __future__ import annotations

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm._log import get_logger
from vggt_sfm.ba.config import SeedConfig
from vggt_sfm.ba.knowledge import NOTHING, Knowledge, KnownCamera
from vggt_sfm.errors import InputError
from vggt_sfm.scene import Predictions, Scene, Size, Tracks

_logger = get_logger(__name__)

# In longer sides of the image: 179 to 0.06 degrees; what COLMAP takes where nothing is known; and
# how far from the corner a principal point may be.
_POSSIBLE_FOCAL = (1e-2, 1e3)
_USUAL_FOCAL = 1.2
_FARTHEST_CENTER = 10.0
# COLMAP's error of a point without projection is the root of the largest number.
_NO_PROJECTION_PX = 1e100


def seed_reconstruction(
    scene: Scene,
    predictions: Predictions,
    tracks: Tracks,
    config: SeedConfig,
    knowledge: Knowledge = NOTHING,
) -> pycolmap.Reconstruction:
    """Build the feed-forward model: predicted cameras, multi-view tracks, seeded points.

    Args:
        scene: Frames; image ids are 1, 2, … in their order.
        predictions: Cameras in network pixels.
        tracks: Observations in original pixels and points in the predicted world.
        config: Camera model, and whether EXIF counts.
        knowledge: Intrinsics that take the place of predicted ones.

    Returns:
        A model in original pixels that holds every frame, seen by a track or not. Observations
        that are not finite or lie outside their image are left out, and with them points that
        fewer than two images see. Impossible focal lengths and principal points are replaced by
        usual ones.

    Raises:
        InputError: If the scene has no frame.
        ValueError: If tracks lead to frames that are not there.
    """
    if not scene.frames:
        raise InputError("a model needs at least one image, and the scene has none")
    if tracks.frame_index.max(initial=-1) >= len(scene.frames):
        raise ValueError(f"Tracks: they lead to more than the scene's {len(scene.frames)} frames")
    reconstruction = pycolmap.Reconstruction()
    camera_of = _camera_groups(scene, knowledge)
    intrinsics = np.stack(
        [
            pixel_map.intrinsics_to_original(K)
            for pixel_map, K in zip(scene.pixel_maps, predictions.intrinsics, strict=True)
        ]
    )
    for camera in range(int(camera_of.max()) + 1):
        members = np.flatnonzero(camera_of == camera)
        known = knowledge.camera_of(scene.frames[members[0]].name)
        if known is not None:
            shared = _known_camera(known, scene.frames[members[0]].size)
        else:
            shared = _camera(scene, members, intrinsics[members], config)
        shared.camera_id = camera + 1
        reconstruction.add_camera_with_trivial_rig(shared)
    rows = _usable_observations(scene, tracks)
    point2d_of = np.empty(len(tracks.xy), np.int64)
    for s, frame in enumerate(scene.frames):
        mine = rows[tracks.frame_index[rows] == s]
        point2d_of[mine] = np.arange(len(mine))
        image = pycolmap.Image(
            name=frame.name,
            keypoints=tracks.xy[mine],
            camera_id=int(camera_of[s]) + 1,
            image_id=s + 1,
        )
        pose = pycolmap.Rigid3d(np.ascontiguousarray(predictions.cam_from_world[s]))
        reconstruction.add_image_with_trivial_frame(image, pose)
    _add_points(reconstruction, tracks, rows, point2d_of)
    _drop_points_with_error(reconstruction, np.inf)  # too far for numbers
    return reconstruction


def _drop_points_with_error(model: pycolmap.Reconstruction, limit_px: float) -> None:
    """Bring the points' errors up to date; delete points whose error is not below a limit."""
    model.update_point_3d_errors()
    for point_id in [i for i, point in model.points3D.items() if not point.error < limit_px]:
        model.delete_point3D(point_id)


def _add_points(
    reconstruction: pycolmap.Reconstruction, tracks: Tracks, rows: Int64, point2d_of: Int64
) -> None:
    first = np.searchsorted(tracks.track_index[rows], np.arange(len(tracks.xyz) + 1))
    for n in np.flatnonzero(np.diff(first)):
        mine = rows[first[n] : first[n + 1]]
        track = pycolmap.Track()
        for s, point2d in zip(
            tracks.frame_index[mine].tolist(), point2d_of[mine].tolist(), strict=True
        ):
            track.add_element(s + 1, point2d)
        reconstruction.add_point3D(tracks.xyz[n], track, tracks.color[n])


def drop_points_behind_cameras(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """Return a copy without observations whose point lies behind their camera.

    A rough prediction has some. An adjustment can put them right, so they belong in its start; in
    a model for others they have no projection.
    """
    visible = pycolmap.Reconstruction(model)
    pycolmap.ObservationManager(visible).filter_observations_with_negative_depth()
    # Those that lie in the plane of a camera count as before it, and still have no projection
    _drop_points_with_error(visible, _NO_PROJECTION_PX)
    return visible


def _camera_groups(scene: Scene, knowledge: Knowledge) -> Int64:
    """Return the (S,) number of each frame's camera, counted by first appearance."""
    numbers: dict[object, int] = {}
    keys = [
        knowledge.camera_of(frame.name) or frame.camera_key or s
        for s, frame in enumerate(scene.frames)
    ]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _known_camera(known: KnownCamera, size: Size) -> pycolmap.Camera:
    camera = pycolmap.Camera(
        model=known.model, width=size.width, height=size.height, params=list(known.params)
    )
    camera.has_prior_focal_length = True
    return camera


def _camera(
    scene: Scene, members: Int64, intrinsics: Float64, config: SeedConfig
) -> pycolmap.Camera:
    """Return the shared camera of some frames: the median of what is predicted for them."""
    size = scene.frames[members[0]].size
    longer, names = max(size), [scene.frames[s].name for s in members]
    priors = [scene.frames[s].focal_prior_px or np.nan for s in members]
    known = [prior for prior in priors if _is_possible(prior / longer)]
    use_prior = config.exif_focal and bool(known)
    predicted = intrinsics[:, (0, 1), (0, 1)]
    possible = _is_possible(predicted / longer).all(axis=1)
    if use_prior:
        focal_x = focal_y = np.median(known)
    elif possible.any():
        focal_x, focal_y = np.median(predicted[possible], axis=0)
    else:
        focal_x = focal_y = _USUAL_FOCAL * longer
        _logger.warning("the predicted focal length of %s is impossible: %s", names, predicted)
    center = np.median(intrinsics[:, :2, 2], axis=0)
    if not (np.abs(center) <= _FARTHEST_CENTER * longer).all():
        _logger.warning("the predicted principal point of %s is impossible: %s", names, center)
        center = np.array(size) / 2
    camera = pycolmap.Camera.create_from_model_name(
        0, config.camera_model, float(focal_x + focal_y) / 2, size.width, size.height
    )
    params = np.array(camera.params)
    if len(camera.focal_length_idxs()) == 2:
        params[list(camera.focal_length_idxs())] = focal_x, focal_y
    params[list(camera.principal_point_idxs())] = center
    params[list(camera.extra_params_idxs())] = 0
    camera.params = params.tolist()
    camera.has_prior_focal_length = use_prior
    return camera


def _is_possible(focal: Float64) -> Bool:
    """Mark focal lengths, in longer sides of the image, that a camera may have; no NaN."""
    return np.asarray((focal >= _POSSIBLE_FOCAL[0]) & (focal <= _POSSIBLE_FOCAL[1]))


def _usable_observations(scene: Scene, tracks: Tracks) -> Int64:
    """Return the rows that lie inside their image and whose track keeps two of them."""
    sizes = np.array([frame.size for frame in scene.frames], np.float64)
    limits = sizes[tracks.frame_index]
    inside = ((tracks.xy >= 0) & (tracks.xy <= limits)).all(axis=1)  # False for NaN
    inside &= np.isfinite(tracks.xyz[tracks.track_index]).all(axis=1)
    views = np.bincount(tracks.track_index[inside], minlength=len(tracks.xyz))
    return np.flatnonzero(inside & (views[tracks.track_index] >= 2))
