"""Predictions that somebody else's network has made, as a predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from vggt_sfm._checks import Float32, Float64
from vggt_sfm._log import Progress
from vggt_sfm.errors import InputError
from vggt_sfm.inference.given_tracks import track_matches
from vggt_sfm.inference.point_tracks import FollowedPoints
from vggt_sfm.inference.readings import doubt
from vggt_sfm.io.given import GivenPredictions
from vggt_sfm.scene import Matches, Predictions, Scene, Size

# Networks that round sizes to their patches stretch pixels by some percent; a map that was cropped
# or padded, or made from a photograph on its side, does so by a third at least.
_MOST_STRETCH = 1.2


class GivenPredictor:
    """A file in place of a network."""

    licence = ""
    commit: str | None = None
    device = "none"
    advice: str | None = None
    needs_images = False

    def __init__(self, given: GivenPredictions, row_of: Mapping[str, int]) -> None:
        """Prepare.

        Args:
            given: What the file says.
            row_of: Which row of it is of which frame, by the frame's name.
        """
        self.name = f"{given.path.name} (given)"
        self.weights_sha256 = given.sha256
        self.size = Size(given.depth.shape[2], given.depth.shape[1])
        """Of the depth maps, which the photographs are stretched to."""
        self._given = given
        self._row_of = row_of

    def __call__(self, images: Float32, scene: Scene, progress: Progress) -> Predictions:
        """Return what the file says about the frames of a scene; no image is looked at.

        Raises:
            InputError: If poses, intrinsics and depth contradict each other or the photographs.
        """
        given, rows = self._given, [self._row_of[frame.name] for frame in scene.frames]
        self._check_shape_of_pixels(scene, given.intrinsics[rows])
        predictions = Predictions(
            cam_from_world=given.cam_from_world[rows],
            intrinsics=given.intrinsics[rows],
            depth=given.depth[rows],
            depth_confidence=given.confidence[rows],
            camera_sources=("given",) * len(rows),
            matches=self._matches(rows),
        )
        try:
            doubts = doubt(predictions)
        except InputError as error:
            raise InputError(f"{given.path}: {error}") from error
        unused = f"not used: {', '.join(given.unused)}" if given.unused else None
        remarks = tuple(f"{given.path.name}: {words}" for words in (doubts, unused) if words)
        return replace(predictions, remarks=remarks)

    def _matches(self, rows: list[int]) -> Matches | None:
        given = self._given
        if not given.tracks.shape[1]:
            return None
        return track_matches(
            FollowedPoints(
                given.tracks[rows],
                given.track_visibility[rows].astype(np.float32),
                given.track_confidence[rows].astype(np.float32),
            )
        )

    def _check_shape_of_pixels(self, scene: Scene, intrinsics: Float64) -> None:
        """Make sure that pixels are about square where a map is drawn over its photograph."""
        original = np.stack(
            [
                pixel_map.intrinsics_to_original(K)
                for pixel_map, K in zip(scene.pixel_maps, intrinsics, strict=True)
            ]
        )
        ratio = original[:, 0, 0] / original[:, 1, 1]
        odd = np.flatnonzero(np.maximum(ratio, 1 / ratio) > _MOST_STRETCH)
        if len(odd):
            frame, (width, height) = scene.frames[odd[0]], self.size
            raise InputError(
                f"{self._given.path}: the depth map of {width} x {height} px, drawn over "
                f"{frame.name} of {frame.size.width} x {frame.size.height} px, has focal lengths "
                f"that differ by a factor of {ratio[odd[0]]:.2f} between x and y ({len(odd)} of "
                f"{len(ratio)} photographs); depth maps must show the whole upright photograph, "
                "neither cropped nor padded"
            )
