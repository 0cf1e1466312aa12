"""The network's own matches, verified by geometry like any others."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Bool, Float32, Float64, Int64
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.scene import Matches, PixelMap, Scene
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.matches import VerifiedMatches
from vggt_sfm.tracking.verification import verified_rows

_logger = get_logger(__name__)


class PredictedSource:
    """Matches found by the network.

    The network gives a physical point a slightly different position in every pair. Positions in
    one cell of a grid over the network's input therefore become one keypoint, at their mean.
    """

    name = "network"

    def __init__(self, config: TrackConfig, matches: Matches) -> None:
        self._config = config
        self._matches = matches

    def match(self, scene: Scene, pairs: Int64, progress: Progress) -> VerifiedMatches:
        """Verify the network's matches of the pairs that are asked for.

        Args:
            scene: Frames and their maps to network pixels.
            pairs: (P, 2) frame indices, first < second.
            progress: Counts pairs.

        Returns:
            Verified matches of the pairs that have any.
        """
        wanted = {(int(i), int(j)) for i, j in pairs}
        kept: dict[tuple[int, int], Float32] = {}
        with progress.task("verify predicted", len(self._matches.pairs)) as task:
            for p, (i, j) in enumerate(self._matches.pairs.tolist()):
                if (i, j) in wanted:
                    xy = self._matches.of_pair(p)[0]
                    rows = self._verify(scene.pixel_maps[i], scene.pixel_maps[j], xy)
                    if len(rows):
                        kept[i, j] = xy[rows]
                task.advance()
        _logger.debug("network: %d of %d pairs verified", len(kept), len(self._matches.pairs))
        return self._merge(scene, kept)

    def _verify(self, first: PixelMap, second: PixelMap, xy: Float32) -> Int64:
        """Return the rows inside both photos (not the padding) that one geometry explains."""
        in_photo = _inside(first, xy[:, :2]) & _inside(second, xy[:, 2:])
        candidates = np.flatnonzero(in_photo)
        inside = xy[candidates].astype(np.float64)
        rows = verified_rows(
            (inside[:, :2], inside[:, 2:]),
            (first.network, second.network),
            max_error_px=self._config.max_error_px,
            min_inliers=self._config.min_inliers,
            seed=self._config.seed,
        )
        return candidates[rows]

    def _merge(self, scene: Scene, kept: dict[tuple[int, int], Float32]) -> VerifiedMatches:
        """Turn positions into keypoints of each frame and rows of them."""
        frame_of: list[Int64] = [np.empty(0, np.int64)]
        xy: list[Float64] = [np.empty((0, 2))]
        for (i, j), matched in kept.items():
            frame_of += [np.full(len(matched), i), np.full(len(matched), j)]
            xy += [matched[:, :2].astype(np.float64), matched[:, 2:].astype(np.float64)]
        frame_index = np.concatenate(frame_of)
        position = np.concatenate(xy)
        cells = np.floor(position / self._config.merge_px).astype(np.int64)
        keys, keypoint_of = np.unique(
            np.column_stack([frame_index, cells]), axis=0, return_inverse=True
        )
        keypoint_of = keypoint_of.ravel()
        counts = np.bincount(keypoint_of, minlength=len(keys))
        means = [np.bincount(keypoint_of, position[:, a], len(keys)) / counts for a in (0, 1)]
        mean_xy = np.stack(means, axis=1)
        first_row = np.searchsorted(keys[:, 0], np.arange(len(scene.frames) + 1))
        keypoints: list[Float64] = [
            pixel_map.to_original(mean_xy[first_row[s] : first_row[s + 1]])
            for s, pixel_map in enumerate(scene.pixel_maps)
        ]
        matches, start = [], 0
        for (i, j), matched in kept.items():
            middle, end = start + len(matched), start + 2 * len(matched)
            rows = np.stack(
                [
                    keypoint_of[start:middle] - first_row[i],
                    keypoint_of[middle:end] - first_row[j],
                ],
                axis=1,
            )
            matches.append(np.unique(rows, axis=0))
            start = end
        return VerifiedMatches(
            source=self.name,
            keypoints=tuple(keypoints),
            pairs=np.array(list(kept), np.int64).reshape(-1, 2),
            matches=tuple(matches),
        )


def _inside(pixel_map: PixelMap, network_xy: Float32) -> Bool:
    original = pixel_map.to_original(network_xy.astype(np.float64))
    inside = (original >= 0) & (original <= np.asarray(pixel_map.original))
    return np.asarray(inside.all(axis=1) & np.isfinite(network_xy).all(axis=1))
