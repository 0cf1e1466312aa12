"""Least squares over the matches of all pairs at once: cameras, focal lengths, principal points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, diags_array
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.models.tiny.relative import Edge, epipolar_lines, homogeneous

# Where the influence of a match begins to fall, px, step by step: from what first estimates are
# off to what matches are off.
_UNITS_PX = (1.0, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3)
_ALIKE = 10.0  # matches that are wrong together: what they say counts once
_FOCAL_SPREAD = 0.3  # of the logarithms of focal lengths around their first estimates
_CENTER_SPREAD = 0.01  # of principal points around the middle, of the longer side
_STEP = 1e-6
_FIXED = 1e12  # weight of a parameter that stays
_RIDGE = 1e-6  # all cameras can move, turn and shrink together
_FRAME, _LENS = 6, 3  # parameters: rotation and centre; log focal length and principal point
_DAMPING, _LEAST_DAMPING, _TRIALS = 1e-4, 1e-7, 4
_AXES = np.eye(3)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Cameras:
    """Cameras of S frames, taken by G cameras."""

    rotations: Float64  # (S, 3, 3) cam_from_world
    centers: Float64  # (S, 3) in the world
    log_focal: Float64  # (G,) change of the logarithm of the focal length
    shift: Float64  # (G, 2) change of the principal point, of the longer side


class _Side(NamedTuple):
    """The frames at one end of E pairs."""

    rotation: Float64  # (E, 3, 3)
    center: Float64  # (E, 3)
    focal: Float64  # (E, 2) px
    principal: Float64  # (E, 2) px
    unit: float  # px that a principal point moves for a change of one

    def moved(self, parameter: int, step: float) -> _Side:
        """The side with one of its nine parameters changed."""
        kind, axis = divmod(parameter, 3)
        if kind == 0:
            turn = Rotation.from_rotvec(step * _AXES[axis]).as_matrix()
            return self._replace(rotation=turn @ self.rotation)
        if kind == 1:
            return self._replace(center=self.center + step * _AXES[axis])
        if axis == 0:
            return self._replace(focal=self.focal * np.exp(step))
        return self._replace(principal=self.principal + step * self.unit * np.eye(2)[axis - 1])


class JointProblem:
    """The matches of E pairs of S frames that G cameras took.

    Source: adjustment without points, Rodríguez, López-de-Teruel and Ruiz, "Reduced epipolar cost
    for accelerated incremental SfM", CVPR 2011; here with Sampson distances in pixels (Hartley
    and Zisserman, "Multiple View Geometry", eq. 11.9), Cauchy weights and Levenberg-Marquardt.
    """

    def __init__(
        self,
        edges: Sequence[Edge],
        intrinsics: Float64,
        cameras: Int64,
        *,
        free_focal: Bool,
        free_center: bool,
    ) -> None:
        """Prepare the problem.

        Args:
            edges: Verified pairs.
            intrinsics: (S, 3, 3) first estimates, network px.
            cameras: (S,) numbers of the frames' cameras, from 0.
            free_focal: (G,) whose focal length may change.
            free_center: Whether principal points may change.
        """
        self.i = np.array([e.i for e in edges])
        self.j = np.array([e.j for e in edges])
        self._x = [homogeneous(e.xy[:, :2]) for e in edges]
        self._y = [homogeneous(e.xy[:, 2:]) for e in edges]
        self._intrinsics, self._camera = intrinsics, cameras
        self._unit = 2 * float(intrinsics[:, :2, 2].max())
        self._prior = np.full((len(free_focal), _LENS), _FIXED)
        self._prior[free_focal, 0] = _FOCAL_SPREAD**-2
        if free_center:
            self._prior[:, 1:] = _CENTER_SPREAD**-2

    def intrinsics(self, at: Cameras) -> Float64:
        """(S, 3, 3), network px."""
        K = self._intrinsics.copy()
        K[:, [0, 1], [0, 1]] *= np.exp(at.log_focal)[self._camera, None]
        K[:, :2, 2] += self._unit * at.shift[self._camera]
        return K

    def solve(self, begun: Cameras) -> Cameras:
        """Minimise the distances of all matches from their epipolar lines."""
        found, damping = begun, _DAMPING
        for unit in _UNITS_PX:
            found, damping = self._improved(self._normalized(found), unit, damping)
        return found

    def _normalized(self, at: Cameras) -> Cameras:
        """The same cameras in the middle of the world, their usual baseline one unit."""
        baselines = np.linalg.norm(at.centers[self.i] - at.centers[self.j], axis=1)
        usual = float(np.median(baselines)) or 1.0
        return replace(at, centers=(at.centers - at.centers.mean(axis=0)) / usual)

    def _improved(self, at: Cameras, unit: float, damping: float) -> tuple[Cameras, float]:
        """Take one step that lowers the cost, if there is one."""
        cost = self._cost(at, unit)
        normal, gradient = self._normal_equations(at, unit)
        diagonal = normal.diagonal()
        for _ in range(_TRIALS):
            damped = normal + diags_array(damping * diagonal + _RIDGE)
            tried = self._stepped(at, -splu(damped.tocsc()).solve(gradient))
            if self._cost(tried, unit) < cost:
                return tried, max(damping / 4, _LEAST_DAMPING)
            damping *= 8
        return at, damping

    def _stepped(self, at: Cameras, step: Float64) -> Cameras:
        frames = len(at.centers)
        frame = step[: _FRAME * frames].reshape(frames, _FRAME)
        lens = step[_FRAME * frames :].reshape(-1, _LENS)
        turn = Rotation.from_rotvec(frame[:, :3]).as_matrix()
        return Cameras(
            rotations=turn @ at.rotations,
            centers=at.centers + frame[:, 3:],
            log_focal=at.log_focal + lens[:, 0],
            shift=at.shift + lens[:, 1:],
        )

    def _cost(self, at: Cameras, unit: float) -> float:
        lens = np.column_stack([at.log_focal, at.shift])
        total = float((self._prior * lens**2).sum())
        for x, y, F in zip(self._x, self._y, _fundamental(*self._sides(at)), strict=True):
            residual, _, _ = epipolar_lines(F, x, y)
            total += float(np.log1p((residual / unit) ** 2).sum()) / _ALIKE
        return total

    def _sides(self, at: Cameras) -> tuple[_Side, _Side]:
        K = self.intrinsics(at)
        ends = [_side(at.rotations, at.centers, K, s, self._unit) for s in (self.i, self.j)]
        return ends[0], ends[1]

    def _normal_equations(self, at: Cameras, unit: float) -> tuple[csc_matrix, Float64]:
        """Sum the pairs' (18, 18) blocks and add what is known beforehand."""
        sides = self._sides(at)
        fundamental, slopes = _fundamental(*sides), _slopes(*sides)
        frames, cameras = len(at.centers), len(self._prior)
        size = _FRAME * frames + _LENS * cameras
        columns = np.concatenate([self._columns(s, frames) for s in (self.i, self.j)], axis=1)
        lens = np.arange(_FRAME * frames, size)
        gradient = np.zeros(size)
        gradient[lens] = (self._prior * np.column_stack([at.log_focal, at.shift])).ravel()
        blocks = []
        for e, (x, y, F) in enumerate(zip(self._x, self._y, fundamental, strict=True)):
            jacobian, residual = _residual_slopes(F, x, y)
            weight = 1 / (1 + (residual / unit) ** 2) / (unit**2 * _ALIKE)
            weighted = (jacobian * weight[:, None]).T
            blocks.append(slopes[e].T @ (weighted @ jacobian) @ slopes[e])
            np.add.at(gradient, columns[e], slopes[e].T @ (weighted @ residual))
        rows = np.repeat(columns, columns.shape[1], axis=1).ravel()
        across = np.tile(columns, (1, columns.shape[1])).ravel()
        values = np.concatenate([np.ravel(blocks), self._prior.ravel()])
        places = np.concatenate([rows, lens]), np.concatenate([across, lens])
        return coo_matrix((values, places), shape=(size, size)).tocsc(), gradient

    def _columns(self, s: Int64, frames: int) -> Int64:
        """(E, 9) parameters of the frames at one end of the pairs."""
        lens = _FRAME * frames + _LENS * self._camera[s]
        return np.concatenate(
            [_FRAME * s[:, None] + np.arange(_FRAME), lens[:, None] + np.arange(_LENS)], axis=1
        )


def fundamental_matrices(cam_from_world: Float64, intrinsics: Float64, pairs: Int64) -> Float64:
    """Matrices F with ``y' F x = 0`` for points x and y of the first and second frame of pairs.

    Args:
        cam_from_world: (S, 3, 4).
        intrinsics: (S, 3, 3) px.
        pairs: (E, 2) frames.

    Returns:
        (E, 3, 3).
    """
    centers = invert(cam_from_world)[:, :, 3]
    ends = [_side(cam_from_world[:, :, :3], centers, intrinsics, s) for s in pairs.T]
    return _fundamental(ends[0], ends[1])


def _side(R: Float64, centers: Float64, K: Float64, s: Int64, unit: float = 1.0) -> _Side:
    """The frames (E,) at one end of pairs."""
    return _Side(
        rotation=R[s],
        center=centers[s],
        focal=K[s][:, [0, 1], [0, 1]],
        principal=K[s][:, :2, 2],
        unit=unit,
    )


def _fundamental(first: _Side, second: _Side) -> Float64:
    """(E, 3, 3) matrices F with ``y' F x = 0``, x in the first image; scaled by the baseline."""
    relative = second.rotation @ first.rotation.transpose(0, 2, 1)
    t = np.einsum("nab,nb->na", second.rotation, first.center - second.center)
    t = t / np.maximum(np.linalg.norm(t, axis=1, keepdims=True), 1e-12)
    essential = np.cross(t[:, None, :], relative.transpose(0, 2, 1)).transpose(0, 2, 1)
    return _inverse(second).transpose(0, 2, 1) @ essential @ _inverse(first)


def _inverse(side: _Side) -> Float64:
    """(E, 3, 3) inverse intrinsics."""
    K = np.zeros((len(side.focal), 3, 3))
    K[:, [0, 1], [0, 1]] = 1 / side.focal
    K[:, :2, 2] = -side.principal / side.focal
    K[:, 2, 2] = 1
    return K


def _slopes(first: _Side, second: _Side) -> Float64:
    """(E, 9, 18) change of the fundamental matrices with the parameters of both ends."""
    here = _fundamental(first, second)
    moved = [_fundamental(first.moved(p, _STEP), second) for p in range(_FRAME + _LENS)]
    moved += [_fundamental(first, second.moved(p, _STEP)) for p in range(_FRAME + _LENS)]
    changes = [(F - here).reshape(-1, 9) / _STEP for F in moved]
    return np.stack(changes, axis=-1)


def _residual_slopes(F: Float64, x: Float64, y: Float64) -> tuple[Float64, Float64]:
    """(n, 9) change of matches' Sampson distances with the entries of F, and the (n,) distances."""
    residual, slope, (line_y, line_x) = epipolar_lines(F, x, y)
    product = slope[:, None, None] * y[:, :, None] * x[:, None, :]
    norm = line_y[:, :, None] * x[:, None, :] + y[:, :, None] * line_x[:, None, :]
    change = product - (residual * slope**2)[:, None, None] * norm
    return change.reshape(-1, 9), residual
