"""Errors like those of predictions: of each camera for itself, or growing along the images."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float64
from vggt_sfm.geometry.rigid import compose, invert


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How wrong a prediction is."""

    kind: Literal["independent", "correlated"] = "independent"
    """``correlated``: the true relative motions, chained with a turn and a change of scale."""
    rotation_deg: float = 0.0
    """Mean error of each camera; correlated: of the last camera against the first."""
    center: float = 0.0
    """Standard deviation of the camera centres, as a share of their mean distance to the middle."""
    scale: float = 0.0
    """Correlated only: logarithm of the last step length and depth against the first."""
    focal: float = 0.0
    """Error of the focal length that all cameras share, relative, up or down."""
    depth: float = 0.0
    """Relative standard deviation of the depths."""
    gross_depth: float = 0.05
    """Share of the depths that are wrong by a factor of up to e."""


def disturbed_poses(poses: Float64, errors: Errors, rng: np.random.Generator) -> Float64:
    """Return (S, 3, 4) predicted cameras for the (S, 3, 4) true ones."""
    reach = _reach(poses)
    if errors.kind == "correlated":
        poses = _drifted(poses, errors.rotation_deg, errors.scale, rng)
        turned = poses[:, :, :3]
    else:
        axis = rng.standard_normal((len(poses), 3))
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        # half-normal angles whose mean is ``rotation_deg``
        angle = np.abs(rng.standard_normal((len(poses), 1))) * np.sqrt(np.pi / 2)
        turn = Rotation.from_rotvec(axis * angle * np.deg2rad(errors.rotation_deg)).as_matrix()
        turned = turn @ poses[:, :, :3]
    centers = invert(poses)[:, :, 3]
    centers = centers + errors.center * reach * rng.standard_normal(centers.shape)
    return np.concatenate([turned, -turned @ centers[..., None]], axis=2)


def disturbed_depth(
    depth: Float64, place: Float64, errors: Errors, rng: np.random.Generator
) -> Float64:
    """Return (N,) predicted depths.

    Args:
        depth: (N,) true ones.
        place: (N,) of the image that each is predicted in, 0 for the first to 1 for the last.
        errors: How wrong they are.
        rng: Source of chance.
    """
    factor = np.maximum(1 + errors.depth * rng.standard_normal(len(depth)), 0.1)
    gross = rng.random(len(depth)) < errors.gross_depth
    factor = np.where(gross, np.exp(rng.uniform(-1, 1, len(depth))), factor)
    drift = errors.scale if errors.kind == "correlated" else 0.0
    return np.asarray(depth * factor * np.exp(drift * place))


def _drifted(poses: Float64, degrees: float, scale: float, rng: np.random.Generator) -> Float64:
    """Chain the true relative motions with a turn and a change of scale that grow steadily."""
    axis = rng.standard_normal(3)
    steps = len(poses) - 1
    step = np.deg2rad(degrees) / steps * axis / np.linalg.norm(axis)
    turn = Rotation.from_rotvec(step).as_matrix()
    chain = [poses[0]]
    for s, (before, after) in enumerate(pairwise(poses), start=1):
        relative = compose(after, invert(before))
        longer = relative[:, 3] * np.exp(scale * s / steps)
        chain.append(compose(np.column_stack([turn @ relative[:, :3], longer]), chain[-1]))
    return np.stack(chain)


def _reach(poses: Float64) -> float:
    """Return the mean distance of the cameras to their middle, scene units."""
    centers = invert(poses)[:, :, 3]
    return float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).mean())
