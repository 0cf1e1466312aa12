"""The values that flow from stage to stage.

All pixel coordinates follow COLMAP: (0, 0) is the top-left *corner* of the image and the first
pixel's centre is (0.5, 0.5). Depth pixel ``[row, col]`` therefore lies at ``(col + .5, row + .5)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vggt_sfm._checks import (
    Float32,
    Float64,
    Int64,
    UInt8,
    check_finite,
    check_rotations,
    check_shape,
    freeze,
)


class Size(NamedTuple):
    """Width and height in pixels; never an (H, W) array."""

    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GpsPosition:
    """Where a camera was, on the WGS84 ellipsoid."""

    latitude_deg: float  # north, -90 to 90
    longitude_deg: float  # east, -180 to 180
    altitude_m: float | None = None  # as its source says: above the sea or above the ellipsoid
    sigma_m: float | None = None  # standard deviation in each horizontal direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One photograph, as its file says and as it looks upright."""

    name: str
    """Path relative to the image folder, with forward slashes; unique in the scene."""
    path: str
    """Absolute path of the file, never written to."""
    size: Size
    """Upright size, after the EXIF orientation has been applied."""
    sha256: str
    """Hash of the file's bytes."""
    exif_orientation: int = 1
    """1 to 8 as in the EXIF standard; 1 is upright."""
    focal_prior_px: float | None = None
    """Focal length from EXIF, px of ``size``; None where the file does not say."""
    camera_key: str = ""
    """Frames with equal keys may share intrinsics (size and EXIF camera)."""
    mask_path: str | None = None
    """Absolute path of the image that is black where pixels must not be used."""
    mask_sha256: str = ""
    """Hash of the mask's bytes."""
    gps: GpsPosition | None = None
    """Where it was taken, from EXIF; None where the file does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelMap:
    """Exact per-axis affine map from original (upright) to network pixels.

    ``network_xy = original_xy * scale + offset``, corner origin on both sides.
    """

    original: Size
    network: Size
    scale: tuple[float, float]
    offset: tuple[float, float]

    def to_network(self, xy: Float64) -> Float64:
        """Map (…, 2) original pixels to network pixels."""
        return np.asarray(xy, np.float64) * self.scale + self.offset

    def to_original(self, xy: Float64) -> Float64:
        """Map (…, 2) network pixels to original pixels."""
        return (np.asarray(xy, np.float64) - self.offset) / self.scale

    def intrinsics_to_network(self, intrinsics: Float64) -> Float64:
        """Express a (3, 3) K given in original pixels in network pixels."""
        (sx, sy), (ox, oy) = self.scale, self.offset
        network_from_original = np.array([[sx, 0, ox], [0, sy, oy], [0, 0, 1]])
        return network_from_original @ np.asarray(intrinsics, np.float64)

    def intrinsics_to_original(self, intrinsics: Float64) -> Float64:
        """Express a (3, 3) K given in network pixels in original pixels."""
        sx, sy = self.scale
        ox, oy = self.offset
        original_from_network = np.array([[1 / sx, 0, -ox / sx], [0, 1 / sy, -oy / sy], [0, 0, 1]])
        return original_from_network @ np.asarray(intrinsics, np.float64)

    def content_box(self) -> tuple[int, int, int, int]:
        """Return the network pixels that show the photo: (x0, y0, x1, y1), x1 and y1 excluded."""
        corners = self.to_network(np.array([[0.0, 0.0], self.original]))
        x0, y0 = np.clip(np.ceil(corners[0] - 1e-6), 0, self.network).astype(int)
        x1, y1 = np.clip(np.floor(corners[1] + 1e-6), 0, self.network).astype(int)
        return int(x0), int(y0), int(x1), int(y1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    """A file that looked like an image and was not used."""

    name: str
    reason: str
    twin: bool = False
    """Whether another file with the same bytes is used; otherwise it cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The photographs of a run in natural order, and their way into the network."""

    frames: tuple[Frame, ...]
    pixel_maps: tuple[PixelMap, ...]
    skipped: tuple[SkippedFile, ...] = ()

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.pixel_maps):
            raise ValueError(
                f"Scene: {len(self.frames)} frames but {len(self.pixel_maps)} pixel maps"
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Matches:
    """Point correspondences between pairs of frames, grouped by pair.

    Rows ``offsets[p]`` to ``offsets[p + 1]`` of ``xy`` belong to ``pairs[p]``.
    """

    pairs: Int64  # (P, 2) frame indices, first < second, unique
    offsets: Int64  # (P + 1,) ascending, from 0 to M
    xy: Float32  # (M, 4) network px: x, y in the first frame, x, y in the second
    confidence: Float32  # (M,) 0 to 1

    def __post_init__(self) -> None:
        dims = check_shape("Matches.pairs", self.pairs, "P 2")
        check_shape("Matches.offsets", self.offsets, str(dims["P"] + 1))
        dims = check_shape("Matches.xy", self.xy, "M 4")
        check_shape("Matches.confidence", self.confidence, "M", dims)
        if (
            self.offsets[0] != 0
            or self.offsets[-1] != dims["M"]
            or np.any(np.diff(self.offsets) < 0)
        ):
            raise ValueError(f"Matches.offsets must ascend from 0 to {dims['M']}")
        freeze(self)

    def of_pair(self, p: int) -> tuple[Float32, Float32]:
        """Return (n, 4) pixels and (n,) confidences of pair number ``p``."""
        rows = slice(int(self.offsets[p]), int(self.offsets[p + 1]))
        return self.xy[rows], self.confidence[rows]

    def select(self, pairs: Int64, most: int) -> Matches:
        """Return the first ``most`` matches of each of the pairs of these numbers."""
        kept = np.minimum(np.diff(self.offsets)[pairs], most)
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
        rows = np.repeat(self.offsets[pairs] - ends[:-1], kept) + np.arange(ends[-1])
        return Matches(
            pairs=self.pairs[pairs],
            offsets=ends,
            xy=self.xy[rows],
            confidence=self.confidence[rows],
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Predictions:
    """What the network says about S frames, in *network* pixels.

    World scale is arbitrary: one unit is whatever the network chose.
    """

    cam_from_world: Float64  # (S, 3, 4) OpenCV axes
    intrinsics: Float64  # (S, 3, 3) px
    depth: Float32  # (S, H, W) along the optical axis, scene units, 0 = unknown
    depth_confidence: Float32  # (S, H, W) higher is better; only the order within a run counts
    camera_sources: tuple[str, ...]  # S words: what each camera's pose was obtained from
    matches: Matches | None = None  # the network's own correspondences, where it has some
    world_points: Float32 | None = None  # (S, H, W, 3) said outright, to be used for depth's
    world_points_confidence: Float32 | None = None  # (S, H, W) as depth_confidence
    remarks: tuple[str, ...] = ()  # what the network's run noticed, for people

    def __post_init__(self) -> None:
        dims = check_shape("Predictions.cam_from_world", self.cam_from_world, "S 3 4")
        check_shape("Predictions.intrinsics", self.intrinsics, "S 3 3", dims)
        dims = check_shape("Predictions.depth", self.depth, "S H W", dims)
        check_shape("Predictions.depth_confidence", self.depth_confidence, "S H W", dims)
        if (self.world_points is None) != (self.world_points_confidence is None):
            raise ValueError("Predictions: world_points and their confidence come together")
        if self.world_points is not None and self.world_points_confidence is not None:
            check_shape("Predictions.world_points", self.world_points, "S H W 3", dims)
            confidence = self.world_points_confidence
            check_shape("Predictions.world_points_confidence", confidence, "S H W", dims)
        check_finite("Predictions.cam_from_world", self.cam_from_world)
        check_rotations("Predictions.cam_from_world", self.cam_from_world[:, :, :3])
        check_finite("Predictions.intrinsics", self.intrinsics)
        if len(self.camera_sources) != dims["S"]:
            raise ValueError(
                f"Predictions: {len(self.camera_sources)} camera sources for {dims['S']} frames"
            )
        freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Tracks:
    """Image points of N physical points, as M flat observations in *original* pixels.

    A track sees each frame at most once; observations are sorted by track, then frame.
    """

    track_index: Int64  # (M,) 0 … N-1, ascending
    frame_index: Int64  # (M,)
    xy: Float64  # (M, 2) original px
    xyz: Float64  # (N, 3) seed from predicted depth and cameras, predicted world
    color: UInt8  # (N, 3) RGB
    source: UInt8  # (N,) index into ``source_names``
    source_names: tuple[str, ...]

    def __post_init__(self) -> None:
        dims = check_shape("Tracks.track_index", self.track_index, "M")
        check_shape("Tracks.frame_index", self.frame_index, "M", dims)
        check_shape("Tracks.xy", self.xy, "M 2", dims)
        dims = check_shape("Tracks.xyz", self.xyz, "N 3", dims)
        check_shape("Tracks.color", self.color, "N 3", dims)
        check_shape("Tracks.source", self.source, "N", dims)
        self._check_order(dims["N"])
        freeze(self)

    def _check_order(self, num_tracks: int) -> None:
        track, frame = self.track_index, self.frame_index
        if np.any((track < 0) | (track >= num_tracks)) or np.any(frame < 0):
            raise ValueError(
                f"Tracks: indices must be those of {num_tracks} tracks, and of frames from 0 on"
            )
        same = np.diff(track) == 0
        if np.any(np.diff(track) < 0) or np.any(np.diff(frame)[same] <= 0):
            raise ValueError(
                "Tracks: observations must be sorted by track, then frame, each frame once"
            )
