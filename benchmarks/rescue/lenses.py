"""Rendering through any of COLMAP's camera models, wide and distorted ones too."""

from __future__ import annotations

import numpy as np
import pycolmap
import torch

from vggt_sfm._checks import Float64
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.training.rendering.shade import shade
from vggt_sfm.training.rendering.trace import Rays, first_hits
from vggt_sfm.training.scenes.description import SceneBatch
from vggt_sfm.training.textures import TextureBank

_FINER = 2  # rays a pixel, in each direction
_EXACT_PX = 1e-3


def render_lens(
    scene: SceneBatch, bank: TextureBank, camera: pycolmap.Camera, cam_from_world: Float64
) -> torch.Tensor:
    """Render one view through a lens.

    Args:
        scene: One scene.
        bank: Its textures.
        camera: Any model whose rays lie in front of the camera; a field of view of 160 degrees.
        cam_from_world: (3, 4) OpenCV axes.

    Returns:
        (H, W, 3) colour in [0, 1], the mean of four rays a pixel.

    Raises:
        ValueError: As :func:`pixel_rays`.
    """
    world_from_cam = invert(cam_from_world)
    rays = pixel_rays(camera, _FINER).reshape(-1, 3) @ world_from_cam[:, :3].T
    # unit rays: what they meet is as far as they are long, and so is the size of a pixel there
    found = Rays(
        scene=torch.zeros(1, dtype=torch.long, device=bank.device),
        origin=_floats(world_from_cam[None, :, 3], bank),
        direction=_floats(rays, bank),
        pixels=len(rays),
    )
    size = _floats(np.eye(3) * _FINER * camera.mean_focal_length(), bank)[None, None]
    color = shade(scene, bank, found, first_hits(scene, found), size)
    return color.view(camera.height, _FINER, camera.width, _FINER, 3).mean((1, 3))


def pixel_rays(camera: pycolmap.Camera, finer: int = 1) -> Float64:
    """Return the rays of a camera's pixels.

    Args:
        camera: Any model.
        finer: Rays a pixel, in each direction.

    Returns:
        (H * finer, W * finer, 3) unit vectors in the camera, OpenCV axes.

    Raises:
        ValueError: If pycolmap's inverse of the lens misses a pixel, as it does beyond 180 degrees.
    """
    rows, columns = (np.arange(n * finer) + 0.5 for n in (camera.height, camera.width))
    grid = np.meshgrid(columns / finer, rows / finer)
    pixels = np.stack(grid, axis=-1).reshape(-1, 2)
    rays: Float64 = np.asarray(camera.cam_ray_from_img(pixels))
    error = np.abs(np.asarray(camera.img_from_cam(rays)) - pixels).max()
    if not error < _EXACT_PX:
        raise ValueError(f"{camera.model.name}: rays miss their pixels by up to {error:.3g} px")
    return rays.reshape(len(rows), len(columns), 3)


def _floats(values: Float64, bank: TextureBank) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float32, device=bank.device)
