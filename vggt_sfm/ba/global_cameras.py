"""Cameras from tracks alone: relative poses of pairs, their mean rotations, then all positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, Float64, freeze
from vggt_sfm.ba.bundle import Bundle
from vggt_sfm.ba.pairs import PosedPair, posed_pairs
from vggt_sfm.ba.selection import largest_component
from vggt_sfm.ba.solve import quiet_ceres

# Largest distance from a pair's epipolar geometry, px at the reference width.
_MAX_ERROR_PX = 0.75
# Pairs that contradict the mean rotations by more are wrong.
_MAX_ROTATION_ERROR_DEG = 10.0
# An observation counts if it fits in this share of its pairs.
_FITS_MOSTLY = 0.5
# Of the unit vectors between rays and points. On 48 rendered scenes and 3 real ones 0.03 gives an
# AUC@5 of 43.7, COLMAP's 0.1 gives 42.0.
_POSITION_LOSS = 0.03
# Observations that a position needs: with fewer it stays where chance has put it.
_LEAST_OBSERVATIONS = 15


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GlobalCameras:
    """Where the images of the largest connected set stand, in a world of their own."""

    cam_from_world: Float64  # (S, 3, 4) NaN where an image could not be placed
    cameras: tuple[pycolmap.Camera, ...]  # as they were given
    placed: Bool  # (S,)
    pairs: int
    """Image pairs whose tracks agree with one relative pose."""
    agreeing_pairs: int
    """Those whose rotations agree with each other."""

    def __post_init__(self) -> None:
        freeze(self)


def global_cameras(bundle: Bundle, active: Bool, *, px: float, seed: int) -> GlobalCameras | None:
    """Find the poses of images without any start, from their tracks and intrinsics.

    The relative poses of all pairs give the rotations, by averaging that is robust to wrong
    pairs; the rotations and the tracks give the positions. Equal inputs give equal results.

    Args:
        bundle: Tracks and cameras; its poses and points do not matter.
        active: (M,) observations to use.
        px: Image pixels a pixel at the reference width.
        seed: Of everything random.

    Returns:
        Poses of the largest set of images that pairs connect; None where fewer than three images
        can be placed.

    Source: Pan, Baráth, Pollefeys and Schönberger, "Global structure-from-motion revisited",
    ECCV 2024, as pycolmap has it; without its bundle adjustment.
    """
    pairs = posed_pairs(bundle, active, max_error_px=_MAX_ERROR_PX * px, seed=seed)
    images = sorted({s for pair in pairs for s in pair.images})
    if len(images) < 3:
        return None
    with quiet_ceres():
        model, graph = _model(bundle, images), _graph(pairs)
        if not pycolmap.run_rotation_averaging(_rotation_options(seed), graph, model, []):
            return None
        agreeing = [pair for pair in pairs if graph.is_valid(_pair_id(pair))]
        used = _usable(bundle, agreeing, model)
        observations = np.bincount(bundle.image_of[used], minlength=len(bundle.names))
        # Images that no common points tie to the others would have positions of their own scale.
        placed = largest_component(bundle, used) & (observations >= _LEAST_OBSERVATIONS)
        if placed.sum() < 3:
            return None
        _add_tracks(model, bundle, used)
        if not pycolmap.run_global_positioning(_position_options(seed), graph, model):
            return None
    poses = np.full((len(bundle.names), 3, 4), np.nan)
    for s in np.flatnonzero(placed).tolist():
        poses[s] = model.image(s + 1).cam_from_world().matrix()
    placed &= np.isfinite(poses).all(axis=(1, 2))
    if placed.sum() < 3:
        return None
    return GlobalCameras(
        cam_from_world=np.where(placed[:, None, None], poses, np.nan),
        cameras=bundle.cameras,
        placed=placed,
        pairs=len(pairs),
        agreeing_pairs=len(agreeing),
    )


def _add_tracks(model: pycolmap.Reconstruction, bundle: Bundle, used: Bool) -> None:
    """Add the points of used observations; where they lie is for the positioning to find."""
    point2d_of = np.empty(len(bundle.xy), np.int64)
    for s in range(len(bundle.names)):
        mine = np.flatnonzero(bundle.image_of == s)
        point2d_of[mine] = np.arange(len(mine))
    rows = np.flatnonzero(used)
    starts = np.flatnonzero(np.diff(bundle.point_of[rows], prepend=-1))
    for mine in np.split(rows, starts[1:]):
        track = pycolmap.Track()
        for m in mine.tolist():
            track.add_element(int(bundle.image_of[m]) + 1, int(point2d_of[m]))
        model.add_point3D(np.zeros(3), track)


def _model(bundle: Bundle, images: Sequence[int]) -> pycolmap.Reconstruction:
    """Return the images without poses; an image's 2D points are its rows in their order."""
    model = pycolmap.Reconstruction()
    for c in np.unique(bundle.camera_of[list(images)]).tolist():
        camera = pycolmap.Camera(bundle.cameras[c].todict())
        camera.camera_id = c + 1
        model.add_camera_with_trivial_rig(camera)
    for s in images:
        image = pycolmap.Image(
            name=str(s),
            keypoints=bundle.xy[bundle.image_of == s],
            camera_id=int(bundle.camera_of[s]) + 1,
            image_id=s + 1,
        )
        model.add_image_with_trivial_frame(image)
    return model


def _graph(pairs: Sequence[PosedPair]) -> pycolmap.PoseGraph:
    graph = pycolmap.PoseGraph()
    for pair in pairs:
        edge = pycolmap.PoseGraphEdge(pair.second_from_first)
        edge.num_matches = int(pair.fits.sum())
        i, j = pair.images
        graph.add_edge(i + 1, j + 1, edge)
    return graph


def _pair_id(pair: PosedPair) -> int:
    i, j = pair.images
    return pycolmap.image_pair_to_pair_id(i + 1, j + 1)


def _rotation_options(seed: int) -> pycolmap.RotationEstimatorOptions:
    options = pycolmap.RotationEstimatorOptions()
    options.random_seed = seed
    options.max_rotation_error_deg = _MAX_ROTATION_ERROR_DEG
    # Pairs with few tracks are wrong more often: 42.0 instead of 39.2 on the same scenes.
    options.reweighting = pycolmap.RotationAveragingReweighting.INLIER_MATCH_COUNT
    return options


def _position_options(seed: int) -> pycolmap.GlobalPositionerOptions:
    # The mapper hands on what makes it repeatable: one thread, and no ordering of parameters.
    options = pycolmap.GlobalMapperOptions(random_seed=seed, num_threads=1).get_global_positioning()
    options.use_gpu = False
    options.loss_function_scale = _POSITION_LOSS
    return options


def _usable(bundle: Bundle, pairs: Sequence[PosedPair], model: pycolmap.Reconstruction) -> Bool:
    """Mark the (M,) observations that fit most pairs, of points that three such images see."""
    fits, all_pairs = np.zeros(len(bundle.xy)), np.zeros(len(bundle.xy))
    for pair in pairs:
        for rows in (pair.first, pair.second):
            fits[rows] += pair.fits
            all_pairs[rows] += 1
    registered = np.isin(bundle.image_of + 1, model.reg_image_ids())
    good = registered & (fits > 0) & (fits >= _FITS_MOSTLY * all_pairs)
    views = np.bincount(bundle.point_of[good], minlength=len(bundle.xyz))
    least = pycolmap.GlobalPositionerOptions().min_num_view_per_track
    return np.asarray(good & (views >= least)[bundle.point_of])
