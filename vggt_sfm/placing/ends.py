"""Where the ends of a measured distance lie in a model, and how well that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm.errors import InputError
from vggt_sfm.placing.config import pixel_of
from vggt_sfm.scene import Size

_PIXEL_SIGMA = 1.0  # of an observation and of a click, px
_NEAR_PX = 4.0  # observations this near show the same surface, or 0.6 % of the longer side
_NEAR_SHARE = 0.006
_MOST_NEAR = 8
_FEWEST_POINTS = 6  # from which a camera's position can be said to be known
_ROBUST_SIGMA = 1.4826  # of normal noise, over the median of its size
_LARGEST_CONDITION = 1e14


class Depth(NamedTuple):
    """Depth at a pixel, along the optical axis."""

    depth: float
    """Model units."""
    sigma: float
    """Its standard deviation, model units."""


DepthAt = Callable[[str, Float64], Depth | None]
"""Depth at (2,) px of the photograph of a name, corner origin; None where it is not known."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class End:
    """One end of a distance."""

    xyz: Float64  # (3,) model's world
    covariance: Float64 | None  # (3, 3); None: nothing in the model says how sure it is


def locate(
    word: str, model: pycolmap.Reconstruction, sizes: Mapping[str, Size], depth_at: DepthAt
) -> End:
    """Find an end of a distance in a model.

    Args:
        word: NAME, the camera's centre, or NAME@X,Y, what it shows at that pixel.
        model: The model.
        sizes: Upright size of each photograph by name, px.
        depth_at: Depth where the model has no point near the pixel.

    Returns:
        The place.

    Raises:
        InputError: If there is no such photograph or pixel, or its depth is not known.
    """
    name, xy = (word, None) if word in sizes else pixel_of(word)
    if name not in sizes:
        raise InputError(f"--distance {word}: no photograph is called {name}; {some_of(sizes)}")
    image = model.find_image_with_name(name)
    if image is None or not image.has_pose:
        raise InputError(f"--distance {word}: the model has no camera for {name}")
    if xy is None:
        return End(xyz=image.projection_center(), covariance=_center_covariance(model, image))
    size, pixel = sizes[name], np.array(xy, np.float64)
    if not (np.all(pixel >= 0) and np.all(pixel <= size)):
        raise InputError(
            f"--distance {word}: the pixel lies outside the photograph, which has "
            f"{size.width} x {size.height}"
        )
    depth = _depth_of_points(model, image, pixel, size) or _usable(depth_at(name, pixel))
    camera = model.camera(image.camera_id)
    normalized = camera.cam_from_img(pixel)
    if depth is None or normalized is None:
        raise InputError(
            f"--distance {word}: the depth there is not known; choose a pixel on a textured "
            "surface that several photographs show"
        )
    return _seen(image, np.array([*normalized, 1.0]), depth, camera.mean_focal_length())


def some_of(names: Iterable[str]) -> str:
    """Name a few of the photographs, for messages."""
    listed = list(names)
    return f"there are {', '.join(listed[:3])}{', …' * (len(listed) > 3)}"


def _seen(image: pycolmap.Image, ray: Float64, depth: Depth, focal_px: float) -> End:
    """Return the point at a depth on a (3,) ray whose third component is 1."""
    world_from_cam = image.cam_from_world().inverse()
    across = depth.depth * _PIXEL_SIGMA / focal_px
    covariance = np.diag([across**2, across**2, 0.0]) + depth.sigma**2 * np.outer(ray, ray)
    rotation = world_from_cam.rotation.matrix()
    return End(
        xyz=np.asarray(world_from_cam * (ray * depth.depth)),
        covariance=rotation @ covariance @ rotation.T,
    )


def _focal_px(model: pycolmap.Reconstruction, image: pycolmap.Image) -> float:
    return float(model.camera(image.camera_id).mean_focal_length())


def _usable(depth: Depth | None) -> Depth | None:
    if depth is None or not (np.isfinite(depth).all() and depth.depth > 0 and depth.sigma >= 0):
        return None
    return depth


def _depth_of_points(
    model: pycolmap.Reconstruction, image: pycolmap.Image, xy: Float64, size: Size
) -> Depth | None:
    """Return the median depth of the points that are observed near a pixel."""
    seen = [point for point in image.points2D if point.has_point3D()]
    if not seen:
        return None
    away = np.linalg.norm(np.array([point.xy for point in seen]) - xy, axis=1)
    nearest = np.argsort(away, kind="stable")[:_MOST_NEAR]
    nearest = nearest[away[nearest] <= max(_NEAR_PX, _NEAR_SHARE * max(size))]
    cam_from_world = image.cam_from_world().matrix()
    points = [model.point3D(seen[n].point3D_id) for n in nearest]
    depths = [float(cam_from_world[2] @ np.array([*point.xyz, 1.0])) for point in points]
    front = [n for n, depth in enumerate(depths) if depth > 0]
    if not front:
        return None
    values = np.array(depths)[front]
    depth = float(np.median(values))
    spread = float(_ROBUST_SIGMA * np.median(np.abs(values - depth)))
    # A surface at 45 degrees changes its depth as much as one goes sideways on it
    slope = float(np.median(away[nearest][front])) * depth / _focal_px(model, image)
    noise = np.median([_depth_sigma(model, points[n], cam_from_world[2, :3]) for n in front])
    return Depth(depth, float(np.linalg.norm([max(spread, slope), noise])))


def _depth_sigma(model: pycolmap.Reconstruction, point: pycolmap.Point3D, axis: Float64) -> float:
    """Return how uncertain noise of its observations leaves a point along a (3,) unit axis."""
    information = np.zeros((3, 3))
    for element in point.track.elements:
        image = model.image(element.image_id)
        ray = point.xyz - image.projection_center()
        square = max(float(ray @ ray), np.finfo(float).tiny)
        across = square * (_PIXEL_SIGMA / _focal_px(model, image)) ** 2
        information += (np.eye(3) - np.outer(ray, ray) / square) / across
    values, axes = np.linalg.eigh(information)
    values = np.maximum(values, 1e-12 * values[-1])  # no parallax: far more than any distance
    return float(np.sqrt(np.sum(np.square(axes.T @ axis) / values)))


def _center_covariance(model: pycolmap.Reconstruction, image: pycolmap.Image) -> Float64 | None:
    """Return the (3, 3) covariance of a camera's centre given the points it observes."""
    ids = [point.point3D_id for point in image.points2D if point.has_point3D()]
    if len(ids) < _FEWEST_POINTS:
        return None
    cam_from_world = image.cam_from_world().matrix()
    xyz = np.array([model.point3D(i).xyz for i in ids]) @ cam_from_world[:, :3].T
    xyz += cam_from_world[:, 3]
    x, y, z = xyz[xyz[:, 2] > 0].T
    zero, one = np.zeros_like(z), np.ones_like(z)
    # Pixels by (centre, rotation vector), both along the camera's axes
    by_point = np.array([[one / z, zero, -x / z**2], [zero, one / z, -y / z**2]])
    by_pose = np.array(
        [
            [-one, zero, zero, zero, z, -y],
            [zero, -one, zero, -z, zero, x],
            [zero, zero, -one, y, -x, zero],
        ]
    )
    jacobian = np.einsum("ijn,jkn->nik", by_point, by_pose).reshape(-1, 6)
    jacobian *= _focal_px(model, image) / _PIXEL_SIGMA
    information = jacobian.T @ jacobian
    if len(z) < _FEWEST_POINTS or np.linalg.cond(information) > _LARGEST_CONDITION:
        return None
    rotation = cam_from_world[:, :3]
    return np.asarray(rotation.T @ np.linalg.inv(information)[:3, :3] @ rotation)
