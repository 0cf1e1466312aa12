"""Scenes of the failure map, photographed exactly as a setup says."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.failure_axes import Case, Setup
from vggt_sfm.benchmarks.failure_surfaces import dressed
from vggt_sfm.benchmarks.rendered_photographs import WIDTH, Shots, height_of, shoot
from vggt_sfm.training.scenes.cameras import Cameras, look_at
from vggt_sfm.training.scenes.description import SceneDescription, Stage, stack_scenes
from vggt_sfm.training.scenes.draw import random_scene
from vggt_sfm.training.seeds import FIRST_TEST_SEED
from vggt_sfm.training.textures import TextureBank
from vggt_sfm.training.views import survey

_FIRST_SEED = FIRST_TEST_SEED + 100_000  # the test set has those before
_ATTEMPTS = 400
_LEAST_OVERLAP = 0.1  # of neighbouring views
_OVERLAP_TOLERANCE = 0.05
_SPACINGS = (0.02, 4.0)  # of the distance from the target, between which it is searched
_BISECTIONS = 8


class NothingFitsError(Exception):
    """The cameras of a case fit into no scene that was drawn."""


def draw_case(case: Case, bank: TextureBank, width: int = WIDTH) -> Shots:
    """Draw a scene and the cameras of its setup, render it and spoil the images.

    Raises:
        NothingFitsError: If the cameras fit into no scene.
    """
    rng = np.random.default_rng(_FIRST_SEED + case.number)
    for _ in range(_ATTEMPTS):
        scene, stage = random_scene(rng, bank.count, case.kind)
        cameras = _cameras(scene, stage, case.setup, width, rng)
        if cameras is not None:
            shots = shoot(dressed(scene, cameras, width, case.setup, rng), cameras, bank, width)
            return replace(shots, color=spoiled(shots.color, case.setup, rng))
    raise NothingFitsError(f"its cameras fit into none of {_ATTEMPTS} scenes")


def _cameras(
    scene: SceneDescription, stage: Stage, setup: Setup, width: int, rng: np.random.Generator
) -> Cameras | None:
    distance, start = rng.uniform(stage.near, stage.far), rng.uniform(0, 360)
    rise = rng.uniform(-0.4, 0.0) + rng.uniform(-0.05, 0.05, setup.frames)
    if setup.overlap is None:
        cameras = _exact(orbit(stage, setup, distance, start, rise), setup, width)
        overlap = _neighbor_overlap(scene, stage, cameras, width)
        return None if overlap is None or overlap.min() < _LEAST_OVERLAP else cameras
    distance = stage.near * rng.uniform(1.0, 1.3)  # far cameras do not get apart on the stage
    low, high = _SPACINGS
    for _ in range(_BISECTIONS):
        spacing = float(np.sqrt(low * high))
        poses = side_by_side(stage, setup, distance, start, rise, spacing)
        cameras = _exact(poses, setup, width)
        overlap = _neighbor_overlap(scene, stage, cameras, width)
        beyond = -np.inf if overlap is None else overlap.mean() - setup.overlap / 100
        if abs(beyond) <= _OVERLAP_TOLERANCE:
            return cameras
        low, high = (spacing, high) if beyond > 0 else (low, spacing)
    return None


def orbit(stage: Stage, setup: Setup, distance: float, start: float, rise: Float64) -> Float64:
    """Cameras on an arc around the target, all looking at it.

    Args:
        stage: With the target.
        setup: Number of cameras and the angle between them.
        distance: From the target, scene units.
        start: Where the arc begins, degrees.
        rise: (S,) height of each camera, of the distance; y points down.

    Returns:
        (S, 3, 4) cam_from_world.
    """
    angle = np.deg2rad(start + setup.step_deg * np.arange(setup.frames))
    offset = np.stack([np.sin(angle), rise, np.cos(angle)], axis=1) * distance
    return np.stack([look_at(stage.target + each, stage.target) for each in offset])


def side_by_side(
    stage: Stage, setup: Setup, distance: float, start: float, rise: Float64, spacing: float
) -> Float64:
    """Cameras on a line across the view of the target, all looking the same way.

    Args:
        stage: With the target.
        setup: Number of cameras.
        distance: From the target, scene units.
        start: Direction of the target, degrees.
        rise: (S,) height of each camera, of the distance; y points down.
        spacing: Between neighbours, of the distance.

    Returns:
        (S, 3, 4) cam_from_world.
    """
    angle = np.deg2rad(start)
    ahead = np.array([-np.sin(angle), 0.0, -np.cos(angle)])
    across = np.array([np.cos(angle), 0.0, -np.sin(angle)])
    place = spacing * (np.arange(setup.frames) - (setup.frames - 1) / 2)
    eyes = stage.target + distance * (place[:, None] * across - ahead)
    eyes[:, 1] += distance * rise
    return np.stack([look_at(eye, eye + ahead) for eye in eyes])


def _exact(poses: Float64, setup: Setup, width: int) -> Cameras:
    height = height_of(width)
    focal = width / 2 / np.tan(np.deg2rad(setup.view_deg) / 2)
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    intrinsics = np.tile(K, (len(poses), 1, 1))
    return Cameras(style="exact", cam_from_world=poses, intrinsics=intrinsics)


def _neighbor_overlap(
    scene: SceneDescription, stage: Stage, cameras: Cameras, width: int
) -> Float64 | None:
    """(S - 1,) overlaps of neighbours; None where a camera leaves the stage or sees nothing."""
    poses = cameras.cam_from_world
    centers = -np.einsum("sji,sj->si", poses[:, :, :3], poses[:, :, 3])
    if np.any(centers < stage.low) or np.any(centers > stage.high):
        return None
    usable, overlap = survey(stack_scenes([scene]), cameras, height_of(width), width)
    if len(usable) < len(poses):
        return None
    return np.minimum(overlap.diagonal(1), overlap.diagonal(-1))


def spoiled(color: torch.Tensor, setup: Setup, rng: np.random.Generator) -> torch.Tensor:
    """Blur (S, 3, H, W) images in [0, 1], then add noise."""
    pixels = color.permute(0, 2, 3, 1).numpy()
    if setup.blur_px:
        pixels = np.stack([cv2.GaussianBlur(image, (0, 0), setup.blur_px) for image in pixels])
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(setup.noise)
    return torch.as_tensor((pixels + noise).clip(0, 1)).permute(0, 3, 1, 2)
