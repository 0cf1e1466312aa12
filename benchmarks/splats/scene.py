"""Photographs, cameras and first Gaussians of one model: undistorted, small, split into two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.spatial import KDTree

from vggt_sfm._checks import Bool, Float32, Float64, UInt8
from vggt_sfm.benchmarks.splats.render import Camera
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.io.images import read_upright

EVERY = 8  # every 8th view in sorted order is held out
_FEWEST, _MOST = 4, 400  # sparse points of a view that its pixels are lifted by
_NEIGHBOURS = 3  # as in 3DGS
_MIDDLE = (2.0, 98.0)  # percentiles of a view's sparse depths that its pixels may have


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class View:
    """An undistorted photograph and its camera."""

    name: str
    camera: Camera  # scene units: the median depth of the sparse points is 1
    image: Float32  # (H, W, 3) RGB, 0 to 1
    valid: Bool  # (H, W) whether the photograph covers the pixel
    points: Float64  # (P, 3) sparse points that it observes, scene units


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SplatScene:
    """What one way of getting cameras gives to train on and to test with."""

    train: tuple[View, ...]
    test: tuple[View, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FirstGaussians:
    """Where the training begins."""

    xyz: Float64  # (N, 3) scene units
    colors: Float64  # (N, 3) RGB, 0 to 1
    size: Float64  # (N,) standard deviation, scene units


def held_out(names: Sequence[str], first: int) -> list[str]:
    """Return the photographs to test with: index % EVERY == first in sorted order."""
    return sorted(names)[first::EVERY]


def registered(model: pycolmap.Reconstruction) -> dict[str, pycolmap.Image]:
    """Return the images with a pose by the name of their file."""
    return {Path(image.name).name: image for image in model.images.values() if image.has_pose}


def scene_of(
    model: pycolmap.Reconstruction,
    photographs: Mapping[str, Path],
    long_side: int,
    *,
    first: int,
    poses: Mapping[str, Float64] | None = None,
) -> SplatScene:
    """Undistort, downscale and split the photographs of a model.

    Args:
        model: Cameras and sparse points.
        photographs: Files by name; those that the model has not registered are left out.
        long_side: Of the small photographs, px.
        first: Index of the first view to hold out, of every EVERY.
        poses: (3, 4) cam_from_world by name, instead of those of the model.

    Raises:
        InputError: If the model has no points, or registered no photograph to train on.
    """
    images = registered(model)
    names = [name for name in sorted(photographs) if name in images]
    tests = held_out(list(photographs), first)
    seen = {name: _observed(model, images[name]) for name in names}
    known = {name: images[name].cam_from_world().matrix() for name in names}
    depths = [seen[name] @ known[name][2, :3] + known[name][2, 3] for name in names]
    if not set(names) - set(tests) or not any(map(len, depths)):
        raise InputError(f"{model.num_points3D()} points, {len(names)} images: nothing to train on")
    # The scale of a model means nothing, but learning rates do: the median depth becomes 1.
    unit = float(np.median(np.concatenate(depths)))
    views = []
    for name in names:
        pose = (poses or known)[name].copy()
        pose[:, 3] /= unit
        views.append(_view(images[name], photographs[name], seen[name] / unit, pose, long_side))
    return SplatScene(
        train=tuple(view for view in views if view.name not in tests),
        test=tuple(view for view in views if view.name in tests),
    )


def _observed(model: pycolmap.Reconstruction, image: pycolmap.Image) -> Float64:
    """Return the (P, 3) sparse points that an image observes."""
    ids = [point.point3D_id for point in image.points2D if point.has_point3D()]
    return np.array([model.points3D[i].xyz for i in ids], np.float64).reshape(-1, 3)


def undistorted(
    pixels: UInt8, camera: pycolmap.Camera, long_side: int
) -> tuple[Float32, Bool, Camera]:
    """Undistort and downscale a photograph, to the same size whatever the distortion.

    Args:
        pixels: (H, W, 3) RGB, upright, of the camera's size.
        camera: Of the photograph.
        long_side: Of the result, px.

    Returns:
        (h, w, 3) RGB from 0 to 1, (h, w) whether the photograph covers all of the pixel, and a
        camera without distortion, with the identity for a pose.
    """
    # By itself pycolmap would fit size and centre to the distortion, which each way has its own of.
    options = pycolmap.UndistortCameraOptions(min_scale=1.0, max_scale=1.0)
    scale = long_side / max(camera.width, camera.height)
    width, height = round(camera.width * scale), round(camera.height * scale)
    images = []
    for source in (pixels, np.full_like(pixels, 255)):
        bitmap, small = pycolmap.undistort_image(
            options, pycolmap.Bitmap.from_array(np.ascontiguousarray(source)), camera
        )
        # Area: a pixel is the mean of what it covers, corner to corner as the camera is rescaled.
        images.append(cv2.resize(bitmap.to_array(), (width, height), interpolation=cv2.INTER_AREA))
        small.rescale(width, height)
    placed = Camera(
        cam_from_world=np.eye(3, 4),
        intrinsics=small.calibration_matrix(),
        width=width,
        height=height,
    )
    covered = np.asarray(images[1].min(axis=2) == 255)
    return np.asarray(images[0] / 255, np.float32), covered, placed


def _view(
    image: pycolmap.Image, path: Path, points: Float64, pose: Float64, long_side: int
) -> View:
    pixels = read_upright(path)
    camera = image.camera
    if camera is None or pixels.shape[:2] != (camera.height, camera.width):
        raise InputError(f"{path} is {pixels.shape[1]} × {pixels.shape[0]}, its camera is not")
    small, valid, placed = undistorted(pixels, camera, long_side)
    return View(
        name=path.name,
        camera=replace(placed, cam_from_world=pose),
        image=small,
        valid=valid,
        points=points,
    )


def first_gaussians(scene: SplatScene, count: int, rng: np.random.Generator) -> FirstGaussians:
    """Lift pixels of the training views to the depth of the model's own sparse points.

    It is cameras that are compared, so every way starts with the same number, and from about as
    many points. Each view gives an equal share of its pixels, evenly spread and jittered; their
    inverse depth is interpolated between at most 400 of the sparse points that the view observes
    (outside their hull it is that of the nearest).

    Args:
        scene: To train on.
        count: How many.
        rng: Of the jitter and the choice of points.

    Raises:
        InputError: If too few sparse points lie in the training views.
    """
    usable = [(view, *_sparse_depth(view, rng)) for view in scene.train]
    usable = [(view, xy, depth) for view, xy, depth in usable if len(depth) >= _FEWEST]
    if not usable:
        raise InputError("no view has enough sparse points in it")
    shares = [len(part) for part in np.array_split(np.arange(count), len(usable))]
    lifted, colors, cells = [], [], []
    for (view, xy, depth), share in zip(usable, shares, strict=True):
        pixels = _spread(view, share, rng)
        found = _interpolated(xy, depth, pixels)
        lifted.append(_lift(view.camera, pixels, found))
        cell = np.sqrt(view.camera.width * view.camera.height / share)
        cells.append(found * cell / view.camera.intrinsics[0, 0])
        column, row = pixels.astype(int).T
        colors.append(view.image[row, column])
    xyz = np.concatenate(lifted)
    near = KDTree(xyz).query(xyz, _NEIGHBOURS + 1)[0][:, 1:]
    # What is alone in space is mostly wrong: at the size of its distances it would veil a view.
    size = np.minimum(np.sqrt((near**2).mean(axis=1)), np.concatenate(cells) / 2)
    return FirstGaussians(
        xyz=xyz, colors=np.concatenate(colors).astype(np.float64), size=np.maximum(size, 1e-4)
    )


def _sparse_depth(view: View, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Return the (P, 2) xy px and (P,) depths of sparse points that a view observes."""
    pose, camera = view.camera.cam_from_world, view.camera
    seen = view.points @ pose[:, :3].T + pose[:, 3]
    seen = seen[seen[:, 2] > 0]
    xy = seen @ camera.intrinsics.T
    xy = xy[:, :2] / xy[:, 2:]
    inside = ((xy > 0) & (xy < [camera.width, camera.height])).all(axis=1)
    chosen = rng.permutation(np.flatnonzero(inside))[:_MOST]
    return xy[chosen], seen[chosen, 2]


def _spread(view: View, count: int, rng: np.random.Generator) -> Float64:
    """Return (count, 2) xy px, one in each of as many cells of about the same size."""
    width, height = view.camera.width, view.camera.height
    across = max(1, round(np.sqrt(count * width / height)))
    place = (np.arange(count) + 0.5) * across / count
    row = np.floor(place)
    along = (place - row + rng.uniform(-0.3, 0.3, count) * across / count) % 1
    xy = np.stack([(row + rng.uniform(0.2, 0.8, count)) / across * width, along * height], axis=1)
    return np.asarray(np.minimum(xy, [width - 1e-6, height - 1e-6]))


def _interpolated(xy: Float64, depth: Float64, pixels: Float64) -> Float64:
    inverse = 1 / np.clip(depth, *np.percentile(depth, _MIDDLE))
    found = LinearNDInterpolator(xy, inverse)(pixels)
    nearest = NearestNDInterpolator(xy, inverse)(pixels)
    return np.asarray(1 / np.where(np.isfinite(found), found, nearest))


def _lift(camera: Camera, pixels: Float64, depth: Float64) -> Float64:
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(camera.intrinsics).T
    world_from_cam = invert(camera.cam_from_world)
    return np.asarray((rays * depth[:, None]) @ world_from_cam[:, :3].T + world_from_cam[:, 3])
