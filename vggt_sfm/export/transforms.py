"""``transforms.json``, which nerfstudio and instant-ngp read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm._files import replacing
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import compose, invert, transform_points
from vggt_sfm.io.opened import OpenedModel, point_arrays
from vggt_sfm.io.transforms import GL_AXES

# COLMAP's first camera looks along +z with y down; these programs want z up. A world of east,
# north and up is there already.
_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, -1.0, 0, 0]])
_AS_IS = np.eye(3, 4)
_LARGEST_AABB = 128
_MOST_POINTS = 98  # percent that instant-ngp's box has to hold
_DIGITS = 15

_PERSPECTIVE = {
    "SIMPLE_PINHOLE": (),
    "PINHOLE": (),
    "SIMPLE_RADIAL": ("k1",),
    "RADIAL": ("k1", "k2"),
    "OPENCV": ("k1", "k2", "p1", "p2"),
}
_FISHEYE = {
    "SIMPLE_RADIAL_FISHEYE": ("k1",),
    "RADIAL_FISHEYE": ("k1", "k2"),
    "OPENCV_FISHEYE": ("k1", "k2", "k3", "k4"),
}


def applied_transform(opened: OpenedModel) -> Float64:
    """Return the (3, 4) map from the model's world to that of the file."""
    return _AS_IS if opened.georeferenced else _Z_UP


def transforms(
    opened: OpenedModel,
    files: Mapping[str, Mapping[str, str]],
    points_file: str,
) -> dict[str, Any]:  # Any: JSON
    """Build the content of ``transforms.json``.

    ``transform_matrix`` is world_from_cam with OpenGL's camera axes, in a world that is turned by
    ``applied_transform``. Intrinsics stand at the top where all photographs share them, otherwise
    with each frame. The photographs keep their distortion.

    Args:
        opened: The model.
        files: For each image that goes in, by name, ``file_path`` and possibly ``mask_path`` and
            ``depth_file_path``, relative to the file.
        points_file: The point cloud in the same world, relative to the file.

    Raises:
        InputError: If a camera has a distortion that the format does not know, or only some are
            fisheye cameras.

    Source: nerfstudio's documentation, "Custom Dataset", and instant-ngp's "nerf_dataset_tips".
    """
    images = [image for image in opened.images() if image.name in files]
    cameras = {image.camera_id: opened.model.cameras[image.camera_id] for image in images}
    lenses = {i: lens(camera) for i, camera in cameras.items()}
    shared = len(lenses) == 1
    turn = applied_transform(opened)
    frames = []
    for image in images:
        world_from_cam = invert(image.cam_from_world().matrix())
        world_from_cam[:, :3] = world_from_cam[:, :3] @ GL_AXES
        matrix = np.vstack([compose(turn, world_from_cam), [0, 0, 0, 1]])
        own = {} if shared else lenses[image.camera_id]
        matrix = np.round(matrix, _DIGITS) + 0.0  # no minus zero
        frames.append({**files[image.name], **own, "transform_matrix": matrix.tolist()})
    return {
        **(next(iter(lenses.values())) if shared else {"camera_model": _common_model(lenses)}),
        "applied_transform": turn.tolist(),
        "ply_file_path": points_file,
        **_box(opened, images, turn),
        "frames": frames,
    }


def lens(camera: pycolmap.Camera) -> dict[str, Any]:  # Any: JSON
    """Describe a camera in the words of ``transforms.json``.

    Raises:
        InputError: If the format has no words for its distortion.
    """
    fisheye = camera.model_name in _FISHEYE
    names = {**_PERSPECTIVE, **_FISHEYE}.get(camera.model_name)
    if names is None:
        raise InputError(
            f"transforms.json cannot hold a {camera.model_name} camera; --to gsplat writes "
            "undistorted photographs with pinhole cameras instead"
        )
    distortion = np.array(camera.params)[list(camera.extra_params_idxs())].tolist()
    words: dict[str, Any] = {
        "camera_model": "OPENCV_FISHEYE" if fisheye else "OPENCV" if names else "PINHOLE",
        "w": camera.width,
        "h": camera.height,
        "fl_x": float(camera.focal_length_x),
        "fl_y": float(camera.focal_length_y),
        "cx": float(camera.principal_point_x),
        "cy": float(camera.principal_point_y),
    }
    if names:
        every = ("k1", "k2", "k3", "k4") if fisheye else ("k1", "k2", "p1", "p2")
        words |= dict.fromkeys(every, 0.0) | dict(zip(names, distortion, strict=True))
    if fisheye:
        words["is_fisheye"] = True  # instant-ngp's word for it
    return words


def _common_model(lenses: Mapping[int, Mapping[str, Any]]) -> str:
    """Return the model of all cameras: nerfstudio looks for it at the top of the file only."""
    models = {str(words["camera_model"]) for words in lenses.values()}
    if "OPENCV_FISHEYE" in models and len(models) > 1:
        raise InputError(
            "transforms.json cannot hold fisheye cameras beside others; --to gsplat writes "
            "undistorted photographs with pinhole cameras instead"
        )
    return models.pop() if len(models) == 1 else "OPENCV"


def turned_points(opened: OpenedModel) -> tuple[Float64, np.ndarray]:
    """Return the points in the world of the file, and their colours."""
    xyz, rgb, _ = point_arrays(opened.model)
    return transform_points(applied_transform(opened), xyz), rgb


def write_transforms(path: Path, content: Mapping[str, Any]) -> None:  # Any: JSON
    """Write ``transforms.json``; equal content gives equal bytes."""
    with replacing(path) as temporary:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _box(
    opened: OpenedModel, images: Sequence[pycolmap.Image], turn: Float64
) -> dict[str, Any]:  # Any: JSON
    """Say where instant-ngp finds the scene: the cameras in its unit cube, the points around it."""
    centers = np.array([invert(image.cam_from_world().matrix())[:, 3] for image in images])
    xyz, _, _ = point_arrays(opened.model)
    cameras = transform_points(turn, centers)
    points = transform_points(turn, xyz) if len(xyz) else cameras
    low, high = cameras.min(axis=0), cameras.max(axis=0)
    center = (low + high) / 2
    reach = float(np.percentile(np.abs(points - center).max(axis=1), _MOST_POINTS))
    # At least a tenth of what is seen: cameras that stand together are no reason to blow it up.
    half = max(float((high - low).max()) / 2, reach / 10, 1e-9)
    scale = 0.4 / half
    size = 2 ** int(np.clip(np.ceil(np.log2(max(2 * reach * scale, 1.0))), 0, 7))
    return {
        "aabb_scale": min(size, _LARGEST_AABB),
        "scale": scale,
        "offset": (0.5 - scale * center).tolist(),
    }
