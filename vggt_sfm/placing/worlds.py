"""The similarity between two worlds that hold the same cameras, some of which may be wrong."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Bool, Float64, check_finite, check_shape
from vggt_sfm.geometry.alignment import umeyama
from vggt_sfm.metrics.trajectory import Similarity, stand_apart
from vggt_sfm.placing.similarity import Targets, fit_similarity

_MOST_STEPS = 50
_SMALL_RAD = 1e-12
_ROBUST_SIGMA = 1.4826  # of normal noise, over the median of its size


def align_worlds(world_from_cam: Float64, reference: Float64) -> Similarity:
    """Fit the similarity that carries cameras onto the same ones in another world.

    It is a robust fit of the centres: up to half of N - 3 cameras may be anywhere, and are passed
    over. What centres do not tell well, as on a line or with two cameras, the orientations tell.

    Args:
        world_from_cam: (N, 3, 4).
        reference: (N, 3, 4) world_from_cam in the other world.

    Returns:
        Scale, rotation and translation of reference world from world. Scale and translation are
        NaN where the cameras of one world all stand in one place.

    Raises:
        ValueError: If shapes differ, poses are not finite or there are none.
    """
    dims = check_shape("align_worlds.world_from_cam", world_from_cam, "N 3 4")
    check_shape("align_worlds.reference", reference, "N 3 4", dims)
    check_finite("align_worlds.world_from_cam", world_from_cam)
    check_finite("align_worlds.reference", reference)
    turn, turn_sigma_rad = _turn_of_cameras(world_from_cam, reference)
    source, target = world_from_cam[:, :, 3], reference[:, :, 3]
    if not (stand_apart(source) and stand_apart(target)):
        return np.nan, turn, np.full(3, np.nan)
    if len(source) == 2:
        similarity, sigma_rad, used = umeyama(source, target), np.inf, np.ones(2, bool)
    else:
        similarity, sigma_rad, used = _fit_of_centers(source, target, turn)
    if sigma_rad > turn_sigma_rad:
        return _turned_about_line(similarity, source[used], turn)
    return similarity


def _turn_of_cameras(world_from_cam: Float64, reference: Float64) -> tuple[Float64, float]:
    """Return the median of the rotations that the cameras say, and how well it is known, rad.

    Source: Hartley et al., L1 rotation averaging using the Weiszfeld algorithm, CVPR 2011.
    """
    said = Rotation.from_matrix(reference[:, :, :3] @ np.swapaxes(world_from_cam[:, :, :3], 1, 2))
    turn = said.mean()
    for _ in range(_MOST_STEPS):
        angles = (said * turn.inv()).magnitude()
        before, turn = turn, said.mean(1 / np.maximum(angles, _SMALL_RAD))
        if (turn * before.inv()).magnitude() < _SMALL_RAD:
            break
    sigma = _ROBUST_SIGMA * float(np.median((said * turn.inv()).magnitude()))
    return turn.as_matrix(), sigma / np.sqrt(len(said))


def _fit_of_centers(
    source: Float64, target: Float64, turn: Float64
) -> tuple[Similarity, float, Bool]:
    """Fit to the (N, 3) centres that agree; return how well the rotation is known, rad, and these.

    The fit wants a vertical for where the centres are on a line: across that line, as the cameras
    are turned.
    """
    middle = target.mean(axis=0)
    _, _, axes = np.linalg.svd(target - middle)
    axes *= np.linalg.det(axes)
    size = float(np.abs(target - middle).max())
    fit = fit_similarity(
        source,
        Targets(
            xyz=(target - middle) @ axes.T / size, sigma=np.ones(target.shape), noise="unknown"
        ),
        turn.T @ axes[2],
    )
    rotation = axes.T @ fit.rotation
    translation = size * axes.T @ fit.translation + middle
    return (fit.scale * size, rotation, translation), fit.rotation_sigma_rad, fit.inliers


def _turned_about_line(similarity: Similarity, source: Float64, turn: Float64) -> Similarity:
    """Keep what a similarity does to the main line of (N, 3) points, and turn about it as told."""
    scale, rotation, translation = similarity
    middle = source.mean(axis=0)
    line = np.linalg.svd(source - middle)[2][0]
    onto_line, _ = Rotation.align_vectors((rotation @ line)[None], (turn @ line)[None])
    turned = onto_line.as_matrix() @ turn
    return scale, turned, translation + scale * (rotation - turned) @ middle
