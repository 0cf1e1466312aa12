"""What a prediction knows about where a point of one photograph lies in another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vggt_sfm._checks import Bool, Float32, Float64
from vggt_sfm.geometry.cameras import project, unproject
from vggt_sfm.geometry.rigid import compose, invert
from vggt_sfm.scene import Predictions, Scene
from vggt_sfm.tracking.seeding import sample_depth

# A network's own matches tell how far its cameras and depth can be trusted: this quantile of
# their distances from where the prediction puts them, times a margin. Places depend on depth,
# which is predicted worse than cameras: everything has two values, for places and for lines.
_TRUST_QUANTILE = 0.7
_TRUST_MARGIN = np.array([5.0, 2.5])
_LEAST_MATCHES = 20  # that such a quantile is taken of
# Of an image's longer side: at least, where nothing tells, and where a prediction is of no use.
_LEAST = (0.02, 0.004)
_UNKNOWN = (0.3, 0.15)
_USELESS = 0.6  # for places
_SAMPLES = 16  # points along the longer side that stand for an image
_HIDDEN = 0.15  # relative depth behind the predicted surface from which a point is not seen
# Of the depth; with a shorter baseline, lines have directions of rounding errors, and the predicted
# places say all.
_LEAST_BASELINE = 1e-3


class Window(NamedTuple):
    """Where to look for a point, px of the second frame; infinite: anywhere."""

    radius: float
    """Largest distance from its predicted place."""
    band: float
    """Largest distance from its predicted epipolar line."""


class Guidance:
    """Predicted correspondence between the frames of a scene, in original pixels."""

    def __init__(self, scene: Scene, predictions: Predictions) -> None:
        """Prepare.

        Args:
            scene: Frames and their maps to network pixels.
            predictions: Cameras and depth, and the network's matches where it has some.
        """
        self._scene = scene
        self._predictions = predictions
        self._sizes = np.array([frame.size for frame in scene.frames], np.float64).reshape(-1, 2)
        self._intrinsics = np.array(
            [
                pixel_map.intrinsics_to_original(K)
                for pixel_map, K in zip(scene.pixel_maps, predictions.intrinsics, strict=True)
            ]
        ).reshape(-1, 3, 3)
        self._has_focal = np.abs(np.linalg.det(self._intrinsics)) > 0
        self._depth = np.array([_middle(depth) for depth in predictions.depth])
        self._windows = self._trust()

    def lift(self, s: int, xy: Float64) -> Float64:
        """Return the (n, 3) predicted world points seen at (n, 2) pixels; NaN without depth."""
        if not self._has_focal[s]:  # puts no pixel anywhere
            return np.full((len(xy), 3), np.nan)
        network_xy = self._scene.pixel_maps[s].to_network(xy)
        depth = sample_depth(self._predictions.depth[s], network_xy)
        pose = self._predictions.cam_from_world[s]
        return unproject(network_xy, depth, self._predictions.intrinsics[s], pose)

    def locate(self, xyz: Float64, s: int) -> Float64:
        """Return the (n, 2) pixels of (n, 3) world points in frame ``s``; NaN behind it."""
        return project(xyz, self._predictions.cam_from_world[s], self._intrinsics[s])[0]

    def window(self, i: int, j: int) -> Window:
        """Return how far a point of frame ``i`` may lie in ``j`` from where it is predicted."""
        radius, band = self._windows[:, i, j]
        return Window(float(radius), float(band))

    def fundamental(self, i: int, j: int) -> Float64:
        """Return the (3, 3) predicted F with ``x_j^T F x_i = 0``, original px.

        It is zero, so that no point is off its line, for cameras in one place.
        """
        poses = self._predictions.cam_from_world
        relative = compose(poses[j], invert(poses[i]))
        far = np.linalg.norm(relative[:, 3]) >= _LEAST_BASELINE * self._depth[i]
        if not (far and self._has_focal[[i, j]].all()):
            return np.zeros((3, 3))
        x, y, z = relative[:, 3]
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        to_ray = np.linalg.inv(self._intrinsics[[i, j]])
        return np.asarray(to_ray[1].T @ cross @ relative[:, :3] @ to_ray[0])

    def overlap(self) -> Float64:
        """Return (S, S): the share of frame i's area that frame j is predicted to see.

        A coarse grid of points of every frame is lifted by its depth and looked for in all
        others; points behind the surface that is seen there do not count.
        """
        count = len(self._scene.frames)
        result = np.zeros((count, count))
        poses = self._predictions.cam_from_world
        for i, size in enumerate(self._sizes):
            points = self.lift(i, _grid(size))[None]
            places, depths = project(points, poses[:, None], self._intrinsics[:, None])
            inside = ((places >= 0) & (places <= self._sizes[:, None])).all(axis=-1)
            result[i] = (inside & ~self._hidden(places, depths)).mean(axis=1)
        return result

    def _hidden(self, places: Float64, depths: Float64) -> Bool:
        """Mark (S, n) points behind the surface that is seen at (S, n, 2) places; coarsely."""
        maps = self._scene.pixel_maps
        scale = np.array([m.scale for m in maps])[:, None]
        offset = np.array([m.offset for m in maps])[:, None]
        height, width = self._predictions.depth.shape[1:]
        cell = np.nan_to_num(places * scale + offset, nan=-1.0)
        column, row = np.clip(cell, 0, (width - 1, height - 1)).astype(np.int64).transpose(2, 0, 1)
        surface = self._predictions.depth[np.arange(len(maps))[:, None], row, column]
        return np.asarray((surface > 0) & (depths > surface * (1 + _HIDDEN)))

    def _trust(self) -> Float64:
        """Return the (2, S, S) radii and bands, px of the second frame."""
        count = len(self._sizes)
        miss = np.full((2, count, count), np.nan)
        matches = self._predictions.matches
        if matches is not None:
            for p, (i, j) in enumerate(matches.pairs.tolist()):
                xy = matches.of_pair(p)[0].astype(np.float64)
                first = self._scene.pixel_maps[i].to_original(xy[:, :2])
                second = self._scene.pixel_maps[j].to_original(xy[:, 2:])
                miss[:, i, j] = self._misses(i, j, first, second)
                miss[:, j, i] = self._misses(j, i, second, first)
        for kind, (least, unknown) in enumerate(zip(_LEAST, _UNKNOWN, strict=True)):
            known = miss[kind][np.isfinite(miss[kind])]
            # a pair without matches is likely no better than the worse ones with matches
            usual = np.quantile(known, 0.9) if len(known) else unknown
            miss[kind] = np.maximum(np.where(np.isfinite(miss[kind]), miss[kind], usual), least)
        limits = np.where(miss[0] > _USELESS, np.inf, miss) * self._sizes.max(axis=1)
        return np.asarray(limits)

    def _misses(self, i: int, j: int, xy_i: Float64, xy_j: Float64) -> Float64:
        """Return by how much matches miss their predicted place and line, of the longer side."""
        xyz = self.lift(i, xy_i)
        known = np.isfinite(xyz).all(axis=1) & np.isfinite(xy_j).all(axis=1)
        if known.sum() < _LEAST_MATCHES:
            return np.full(2, np.nan)
        xy_i, xy_j = xy_i[known], xy_j[known]
        from_place = np.linalg.norm(self.locate(xyz[known], j) - xy_j, axis=1)
        from_line = epipolar_distance(self.fundamental(i, j), xy_i, xy_j)
        # what is predicted behind the camera is as far off as can be
        share = np.nan_to_num(np.stack([from_place, from_line]) / self._sizes[j].max(), nan=1.0)
        both = np.quantile(np.minimum(share, 1.0), _TRUST_QUANTILE, axis=1)
        return np.asarray(_TRUST_MARGIN * both)


def _middle(depth: Float32) -> float:
    """Return the median of what is known of an (H, W) depth map; 0 where nothing is."""
    known = depth[(depth > 0) & np.isfinite(depth)]
    return float(np.median(known)) if len(known) else 0.0


def _grid(size: Float64) -> Float64:
    """Return (n, 2) points that stand for an image of (2,) px, at least one."""
    step = size.max() / _SAMPLES
    counts = np.maximum(np.rint(size / step), 1)
    axes = [(np.arange(n) + 0.5) * side / n for n, side in zip(counts, size, strict=True)]
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)


def epipolar_lines(F: Float64, xy_i: Float64) -> Float64:
    """Return the (n, 3) epipolar lines of (n, 2) points, scaled to give distances in px."""
    lines = np.concatenate([xy_i, np.ones((len(xy_i), 1))], axis=1) @ F.T
    length = np.linalg.norm(lines[:, :2], axis=1, keepdims=True)
    return np.asarray(lines / np.where(length > 0, length, 1))


def epipolar_distance(F: Float64, xy_i: Float64, xy_j: Float64) -> Float64:
    """Return the (n,) distances of points of the second image from their epipolar lines, px.

    Args:
        F: (3, 3) with ``x_j^T F x_i = 0``.
        xy_i: (n, 2) px.
        xy_j: (n, 2) px.
    """
    lines = epipolar_lines(F, xy_i)
    return np.asarray(np.abs((lines[:, :2] * xy_j).sum(axis=1) + lines[:, 2]))
