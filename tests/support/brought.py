"""Predictions of somebody else's network, as npz files, for the room of ``photos``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import photos
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.cameras import project, unproject

SIZE = (200, 150)  # of the depth maps; the photographs have 320 x 240 px


def predicted(
    views: list[photos.View], *, rotation_deg: float = 0.0, focal: float = 1.0, seed: int = 0
) -> dict[str, Any]:
    """What a network might say of the views: the truth, with rotations and focal lengths off."""
    rng = np.random.default_rng(seed)
    width, height = SIZE
    small = [replace(v, width=width, height=height, focal=v.focal * width / v.width) for v in views]
    turns = Rotation.from_rotvec(np.radians(rotation_deg) * rng.normal(size=(len(views), 3)))
    true = np.stack([view.cam_from_world for view in views])
    lengths = [focal * view.focal for view in small]
    return {
        "names": np.array([f"img{n}" for n in range(1, len(views) + 1)]),
        "cam_from_world": turns.as_matrix() @ true,
        "intrinsics": np.array(
            [[[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]] for f in lengths]
        ),
        "depth": np.stack([photos.depth_map(view) for view in small]).astype(np.float32),
    }


def tracked(views: list[photos.View], every_px: int = 8) -> np.ndarray:
    """Places of points of the first view in all of them, (S, N, 2) px of ``SIZE``, NaN outside."""
    said = predicted(views)
    width, height = SIZE
    grid = np.meshgrid(np.arange(4.5, width, every_px), np.arange(4.5, height, every_px))
    xy = np.stack(grid, axis=-1).reshape(-1, 2)
    depth = said["depth"][0][xy[:, 1].astype(int), xy[:, 0].astype(int)].astype(np.float64)
    K, poses = said["intrinsics"], said["cam_from_world"]
    world = unproject(xy, depth, K[0], poses[0])
    places = project(world[None], poses[:, None], K[:, None])[0]
    outside = ((places < 0) | (places > SIZE)).any(axis=-1)
    return np.where(outside[..., None], np.nan, places)


def save(path: Path, arrays: dict[str, Any], **changes: Any) -> Path:
    """Write an npz file; a key that is changed to None is left out."""
    kept = {key: value for key, value in {**arrays, **changes}.items() if value is not None}
    np.savez(path, **kept)
    return path
