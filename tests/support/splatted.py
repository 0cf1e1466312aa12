"""Some Gaussians and cameras that see them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.benchmarks.splats.render import Camera, Gaussians


def camera_at(pose: NDArray[np.float64], width: int = 20, height: int = 13) -> Camera:
    K = np.array([[width, 0, width / 2 + 0.3], [0, width * 1.1, height / 2], [0, 0, 1.0]])
    return Camera(cam_from_world=pose, intrinsics=K, width=width, height=height)


def some_gaussians(count: int, seed: int, size: float = 0.15) -> Gaussians:
    rng = np.random.default_rng(seed)
    arrays = {
        "means": rng.uniform([-1, -0.6, 1.5], [1, 0.6, 3.0], (count, 3)),
        "log_scales": np.log(size) + rng.normal(0, 0.4, (count, 3)),
        "quats_wxyz": rng.normal(size=(count, 4)),
        "opacity_logits": rng.normal(1, 1, count),
        "colors": rng.uniform(0, 1, (count, 3)),
    }
    return Gaussians(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def turned_pose() -> NDArray[np.float64]:
    turn = Rotation.from_euler("yxz", [8, -5, 12], degrees=True).as_matrix()
    return np.column_stack([turn, [0.1, -0.05, 0.2]])
