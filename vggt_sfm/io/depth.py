"""Depth maps in files: 16-bit PNG in millimetres, or numpy arrays in metres."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from vggt_sfm._checks import Float32, Float64
from vggt_sfm.errors import InputError
from vggt_sfm.io.images import opened
from vggt_sfm.scene import PixelMap

DEPTH_SUFFIXES = (".png", ".npy", ".npz")
_MILLIMETRE = 1e-3
_SENTINEL = 65535  # what sensors write where they saw nothing, beside 0
_NAME_IN_ARCHIVE = "depth"


def find_depth(folder: Path, image_name: str) -> Path | None:
    """Return the depth map of an image: of the same name, but for the suffix."""
    stem = folder / Path(image_name).with_suffix("")
    candidates = (stem.with_name(stem.name + suffix) for suffix in DEPTH_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def read_depth(path: Path) -> Float32:
    """Read a depth map.

    Args:
        path: A 16-bit grey .png in millimetres, an .npy, or an .npz with one array or with one
            called ``depth``, in metres.

    Returns:
        (H, W) metres along the optical axis; 0 where the file has no finite positive number.

    Raises:
        InputError: If the file cannot be read or is no depth map.
    """
    depth = _from_png(path) if path.suffix == ".png" else _from_numpy(path)
    if depth.ndim != 2:
        raise InputError(f"{path}: a depth map has 2 axes, not the shape {depth.shape}")
    known = np.isfinite(depth) & (depth > 0)
    return np.where(known, depth, 0).astype(np.float32)


def network_depth(depth: Float32, pixel_map: PixelMap) -> Float32:
    """Take the depth of the pixels nearest to the network's, without blending.

    Args:
        depth: (H, W), H and W being ``pixel_map.original``; 0 = unknown.
        pixel_map: Where the pixels go.

    Returns:
        (h, w), h and w being ``pixel_map.network``; 0 outside the photo.
    """
    width, height = pixel_map.network
    diagonal = np.arange(max(width, height)) + 0.5
    x, y = np.floor(pixel_map.to_original(np.stack([diagonal, diagonal], axis=1))).astype(int).T
    x, y = x[:width], y[:height]
    inside_x = (x >= 0) & (x < depth.shape[1])
    inside_y = (y >= 0) & (y < depth.shape[0])
    nearest = depth[np.where(inside_y, y, 0)[:, None], np.where(inside_x, x, 0)]
    return np.where(inside_y[:, None] & inside_x, nearest, np.float32(0))


def _from_png(path: Path) -> Float64:
    with opened(path) as image:
        if image.mode not in ("I;16", "I;16B", "I"):
            raise InputError(f"{path}: is no 16-bit grey image but {image.mode}")
        millimetres = np.asarray(image).astype(np.float64)
    return np.where(millimetres < _SENTINEL, millimetres * _MILLIMETRE, 0)


def _from_numpy(path: Path) -> Float64:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded.astype(np.float64)
        with loaded:
            only = loaded.files[0] if len(loaded.files) == 1 else _NAME_IN_ARCHIVE
            return np.asarray(loaded[only], np.float64)
    except KeyError as error:
        raise InputError(f"{path}: holds several arrays, none called depth") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as a depth map") from error
