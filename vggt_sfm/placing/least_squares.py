"""Gauss-Newton for a similarity whose observations have different weights along each axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float64
from vggt_sfm.placing.candidates import Candidate

_MOST_STEPS = 30
_LONGEST_STEP = 0.5  # of the logarithm of the scale, and radians: the linearisation ends there
_SMALL_STEP = 1e-10
_NO_INFORMATION = 1e-9  # of the normal matrix after its diagonal is 1


@dataclass(frozen=True, slots=True, eq=False)
class Normal:
    """The normal equations of log scale, rotation vector and translation."""

    matrix: Float64  # (7, 7)
    vector: Float64  # (7,)

    def step(self) -> Float64:
        """Return the (7,) solution, zero along what nothing is known about."""
        values, directions, unit = self._decomposed()
        inverse = np.where(values > _NO_INFORMATION, 1 / values, 0.0)
        return np.asarray(unit * (directions @ (inverse * (directions.T @ (unit * self.vector)))))

    def covariance(self) -> Float64:
        """Return the (7, 7) inverse, very large along what nothing is known about."""
        values, directions, unit = self._decomposed()
        return np.asarray((directions / values) @ directions.T * np.outer(unit, unit))

    def _decomposed(self) -> tuple[Float64, Float64, Float64]:
        diagonal = np.diag(self.matrix)
        unit = 1 / np.sqrt(np.maximum(diagonal, diagonal.max() * 1e-30))
        values, directions = np.linalg.eigh(self.matrix * np.outer(unit, unit))
        return np.maximum(values, _NO_INFORMATION**2), directions, unit


def refine(
    start: Candidate,
    source: Float64,
    target: Float64,
    weight: Float64,
    level: tuple[Float64, float] | None,
) -> tuple[Candidate, Normal]:
    """Minimise the weighted squared residuals of a similarity.

    Args:
        start: Where to start.
        source: (N, 3) points, their mean near the origin.
        target: (N, 3) the same elsewhere.
        weight: (N, 3) inverse variances; 0 where a coordinate is not known.
        level: A unit vector in the frame of ``source`` that comes to lie along the third axis, and
            its standard deviation, radians.

    Returns:
        The similarity and the normal equations at it.
    """
    scale, rotation, translation = start
    normal = _normal((scale, rotation, translation), source, target, weight, level)
    for _ in range(_MOST_STEPS):
        step = normal.step()
        step[:4] *= min(1.0, _LONGEST_STEP / max(float(np.abs(step[:4]).max()), _SMALL_STEP))
        scale *= float(np.exp(step[0]))
        rotation = Rotation.from_rotvec(step[1:4]).as_matrix() @ rotation
        translation = translation + step[4:]
        normal = _normal((scale, rotation, translation), source, target, weight, level)
        if np.abs(step[:4]).max() < _SMALL_STEP:
            break
    return (scale, rotation, translation), normal


def _normal(
    one: Candidate,
    source: Float64,
    target: Float64,
    weight: Float64,
    level: tuple[Float64, float] | None,
) -> Normal:
    scale, rotation, translation = one
    moved = scale * source @ rotation.T
    residual = target - moved - translation
    # d/dω of exp([ω]×) y is -[y]×
    jacobian = np.concatenate(
        [moved[:, :, None], -_cross(moved), np.broadcast_to(np.eye(3), (len(moved), 3, 3))], axis=2
    )
    matrix = np.einsum("nij,ni,nik->jk", jacobian, weight, jacobian)
    vector = np.einsum("nij,ni,ni->j", jacobian, weight, residual)
    if not weight[:, 2].any():  # nothing says how high the model lies: it stays at 0
        matrix[6, 6] += 1.0
        vector[6] -= translation[2]
    if level is not None:
        up, sigma = rotation @ level[0], level[1]
        by_turn = -_cross(up[None])[0, :2] / sigma
        matrix[1:4, 1:4] += by_turn.T @ by_turn
        vector[1:4] += by_turn.T @ (-up[:2] / sigma)
    return Normal(matrix, vector)


def _cross(xyz: Float64) -> Float64:
    """Return the (N, 3, 3) matrices of the cross products with (N, 3) vectors."""
    x, y, z = xyz.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
