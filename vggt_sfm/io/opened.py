"""A COLMAP model with what lies beside it: its photographs, predicted depth, an earlier state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pycolmap

from vggt_sfm._checks import Bool, Float32, Float64, Int64, check_shape
from vggt_sfm.geometry.rigid import transform_points
from vggt_sfm.io.images import natural_key
from vggt_sfm.scene import Frame, PixelMap

# Fewer points than this say little about the depth of a whole photograph.
LEAST_POINTS = 20


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PhotoDepth:
    """Predicted depth of one photograph, at the network's size."""

    depth: Float32  # (h, w) along the optical axis, scene units, 0 = unknown
    confidence: Float32  # (h, w) higher is better; only the order counts
    pixel_map: PixelMap

    def __post_init__(self) -> None:
        height, width = self.pixel_map.network[::-1]
        check_shape("PhotoDepth.depth", self.depth, f"{height} {width}")
        check_shape("PhotoDepth.confidence", self.confidence, f"{height} {width}")

    def scaled(self, factor: float) -> PhotoDepth:
        """Return it in other units."""
        return replace(self, depth=self.depth * np.float32(factor))

    def at(self, xy: Float64) -> Float64:
        """Return the (N,) depth at (N, 2) px of the photograph; 0 where it is not known."""
        values, inside = self._nearest(self.depth, xy)
        return np.where(inside, values, 0.0)

    def of_photo(self) -> tuple[Float32, Float32]:
        """Return depth and confidence over the whole photograph, at about the network's detail.

        Returns:
            Two (H, W) arrays whose pixels share the photograph's edges; depth is 0 in what the
            network did not see.
        """
        width, height = self.pixel_map.original
        columns = max(1, round(width * self.pixel_map.scale[0]))
        rows = max(1, round(height * self.pixel_map.scale[1]))
        x = (np.arange(columns) + 0.5) * (width / columns)
        y = (np.arange(rows) + 0.5) * (height / rows)
        xy = np.stack(np.meshgrid(x, y), axis=-1)
        depth, inside = self._nearest(self.depth, xy)
        confidence, _ = self._nearest(self.confidence, xy)
        return (
            np.where(inside, depth, 0).astype(np.float32),
            np.where(inside, confidence, 0).astype(np.float32),
        )

    def _nearest(self, values: Float32, xy: Float64) -> tuple[Float64, Bool]:
        x0, y0, x1, y1 = self.pixel_map.content_box()
        network = np.floor(np.nan_to_num(self.pixel_map.to_network(xy), nan=-1.0)).astype(int)
        x, y = network[..., 0], network[..., 1]
        inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
        picked = values[np.where(inside, y, 0), np.where(inside, x, 0)]
        return picked.astype(np.float64), inside


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OpenedModel:
    """What exports, the report and the viewer look at."""

    model: pycolmap.Reconstruction
    frames: Mapping[str, Frame] = field(default_factory=dict)
    """Photographs that were found, by image name. ``exif_orientation`` is the turn that makes the
    file's pixels those of the camera."""
    depths: Mapping[str, PhotoDepth] = field(default_factory=dict)
    """Predicted depth by image name, in the scale of the model; empty where there is none."""
    before: pycolmap.Reconstruction | None = None
    """The model before its adjustment, in the same world; None where it was not adjusted."""
    unit: str = "scene"
    """``m`` where the scale is known, otherwise ``scene``."""
    georeferenced: bool = False
    """Whether the axes of the world are east, north and up."""

    def images(self) -> list[pycolmap.Image]:
        """Return the images that have a pose, in natural order of their names."""
        return placed_images(self.model)


def placed_images(model: pycolmap.Reconstruction) -> list[pycolmap.Image]:
    """Return the images of a model that have a pose, in natural order of their names."""
    placed = [image for image in model.images.values() if image.has_pose]
    return sorted(placed, key=lambda image: natural_key(image.name))


def point_arrays(model: pycolmap.Reconstruction) -> tuple[Float64, np.ndarray, np.ndarray]:
    """Return the (N, 3) points of a model by ascending id, their RGB, and their track lengths."""
    points = [point for _, point in sorted(model.points3D.items())]
    return (
        np.array([point.xyz for point in points], np.float64).reshape(-1, 3),
        np.array([point.color for point in points], np.uint8).reshape(-1, 3),
        np.array([point.track.length() for point in points], np.int64),
    )


class Observed(NamedTuple):
    """What an image sees of the points of its model."""

    point_ids: Int64  # (M,)
    xy: Float64  # (M, 2) px where it sees them
    in_camera: Float64  # (M, 3) the points along the camera's axes, scene units
    projected: Float64  # (M, 2) px where they are projected, NaN for those behind the camera

    @property
    def errors_px(self) -> Float64:
        """(M,) reprojection errors, NaN without projection."""
        return np.asarray(np.linalg.norm(self.projected - self.xy, axis=1))


def observed(model: pycolmap.Reconstruction, image: pycolmap.Image) -> Observed:
    """Read the observations of an image; what a file says about their errors may be old."""
    seen = [(p.point3D_id, p.xy) for p in image.points2D if p.has_point3D()]
    xyz = np.array([model.points3D[i].xyz for i, _ in seen], np.float64).reshape(-1, 3)
    in_camera = transform_points(image.cam_from_world().matrix(), xyz)
    projected = np.full((len(seen), 2), np.nan)
    front = in_camera[:, 2] > 0
    if front.any():
        projected[front] = model.cameras[image.camera_id].img_from_cam(in_camera[front])
    return Observed(
        point_ids=np.array([i for i, _ in seen], np.int64),
        xy=np.array([xy for _, xy in seen], np.float64).reshape(-1, 2),
        in_camera=in_camera,
        projected=projected,
    )


def without_masked(depth: PhotoDepth, usable: Bool | None) -> PhotoDepth:
    """Forget depth where pixels of a photograph must not be used; ``usable`` is (H, W) of it."""
    if usable is None:
        return depth
    width, height = depth.pixel_map.network
    xy = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
    original = np.floor(depth.pixel_map.to_original(xy)).astype(int)
    x = np.clip(original[..., 0], 0, usable.shape[1] - 1)
    y = np.clip(original[..., 1], 0, usable.shape[0] - 1)
    return replace(depth, depth=np.where(usable[y, x], depth.depth, np.float32(0)))


def scaled_to_points(
    depth: PhotoDepth, model: pycolmap.Reconstruction, image: pycolmap.Image, scale: float
) -> PhotoDepth:
    """Bring predicted depth to the scale in which a photograph sees the model's points.

    Args:
        depth: As predicted.
        model: The model.
        image: The photograph in it.
        scale: What to take where too few points tell: model units per predicted unit.
    """
    ratios = depth_ratios(depth, model, image)
    return depth.scaled(float(np.median(ratios)) if len(ratios) >= LEAST_POINTS else scale)


def depth_ratios(
    depth: PhotoDepth, model: pycolmap.Reconstruction, image: pycolmap.Image
) -> Float64:
    """Return, where a photograph sees points, their depth divided by the predicted one."""
    seen = observed(model, image)
    predicted, wanted = depth.at(seen.xy), seen.in_camera[:, 2]
    known = (predicted > 0) & (wanted > 0)
    return np.asarray(wanted[known] / predicted[known])
