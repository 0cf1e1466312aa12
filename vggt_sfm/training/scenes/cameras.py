"""Cameras that photograph a scene the ways people do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float64
from vggt_sfm.training.scenes.description import Stage

STYLES: Final = {"orbit": 0.35, "walk": 0.3, "pan": 0.1, "collection": 0.25}
"""Ways of photographing with their shares."""
NARROWEST_DEG, WIDEST_DEG = 32.0, 88.0
_ASIDE = np.array([0.3, 0.0, 0.3])  # where a camera looks that stands on its target


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Cameras:
    """V cameras."""

    style: str
    cam_from_world: Float64  # (V, 3, 4)
    intrinsics: Float64  # (V, 3, 3) px


def look_at(eye: Float64, target: Float64, roll_deg: float = 0.0) -> Float64:
    """Return the (3, 4) cam_from_world of a camera at ``eye`` that looks at ``target``."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    rotation = Rotation.from_euler("z", roll_deg, degrees=True).as_matrix() @ rotation
    return np.concatenate([rotation, -rotation @ eye[:, None]], axis=1)


def random_cameras(
    stage: Stage, views: int, side: int, rng: np.random.Generator, style: str | None = None
) -> Cameras:
    """Draw cameras on a stage.

    Args:
        stage: Where they may stand and look.
        views: How many.
        side: Of their square images, px.
        rng: Source of everything random.
        style: One of ``STYLES``; drawn by share if None.
    """
    names = list(STYLES)
    chosen = style or names[rng.choice(len(names), p=[STYLES[n] for n in names])]
    eyes, aims = _PLACES[chosen](stage, views, rng)
    roll = rng.normal(0, 6, views)
    if rng.random() < 0.15:
        roll = rng.uniform(-50, 50, views)
    poses = []
    for eye, aim, turn in zip(eyes, aims, roll, strict=True):
        place = np.clip(eye, stage.low, stage.high)
        gaze = aim if np.linalg.norm(aim - place) > 0.2 else aim + _ASIDE
        poses.append(look_at(place, gaze, float(turn)))
    return Cameras(
        style=chosen,
        cam_from_world=np.stack(poses),
        intrinsics=_intrinsics(views, side, rng, zoom=chosen == "collection"),
    )


def _orbit(stage: Stage, views: int, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Around the target, in steps."""
    step = rng.uniform(5, 32)
    radius = rng.uniform(stage.near, stage.far)
    angle = np.deg2rad(rng.uniform(0, 360) + step * np.arange(views) + rng.uniform(-5, 5, views))
    distance = radius * rng.uniform(0.8, 1.25, views)
    rise = rng.uniform(-0.5, 0.12) + rng.uniform(-0.15, 0.15, views)
    offset = np.stack([np.sin(angle), rise, np.cos(angle)], 1) * distance[:, None]
    aims = stage.target + rng.normal(0, 0.25 * stage.spread, (views, 3))
    return stage.target + offset, aims


def _walk(stage: Stage, views: int, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Forward through the scene, looking about."""
    stride = rng.uniform(0.1, 0.45) * rng.uniform(0.5, 1.0) * (stage.far**0.5)
    eye = rng.uniform(stage.low, stage.high)
    to_target = stage.target - eye
    heading = np.arctan2(to_target[0], to_target[2]) + np.deg2rad(rng.normal(0, 30))
    gaze = heading + np.deg2rad(rng.normal(0, 25))
    eyes, aims = [], []
    for _ in range(views):
        forward = np.array([np.sin(heading), 0, np.cos(heading)])
        eye = eye + stride * forward * rng.uniform(0.3, 1.3) + rng.normal(0, 0.15, 3) * stride
        heading += np.deg2rad(rng.normal(0, 12))
        gaze += np.deg2rad(rng.normal(0, 9))
        eyes.append(eye)
        aims.append(eye + np.array([np.sin(gaze), rng.normal(0.05, 0.15), np.cos(gaze)]))
    return np.stack(eyes), np.stack(aims)


def _pan(stage: Stage, views: int, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """From nearly one place, turning."""
    eye = rng.uniform(stage.low, stage.high)
    to_target = stage.target - eye
    step = rng.uniform(4, 20)
    gaze = np.arctan2(to_target[0], to_target[2]) + np.deg2rad(
        step * (np.arange(views) - views / 2)
    )
    eyes = eye + rng.normal(0, 0.12, (views, 3)) * stage.far**0.5
    level = rng.normal(0.05, 0.12, views)
    return eyes, eyes + np.stack([np.sin(gaze), level, np.cos(gaze)], 1)


def _collection(stage: Stage, views: int, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """From anywhere within an arc, at any distance, as different people do."""
    arc = rng.uniform(40, 140)
    angle = np.deg2rad(rng.uniform(0, 360) + rng.uniform(-0.5, 0.5, views) * arc)
    distance = np.exp(rng.uniform(np.log(stage.near * 0.8), np.log(stage.far * 1.1), views))
    rise = rng.uniform(-0.55, 0.15, views)
    offset = np.stack([np.sin(angle), rise, np.cos(angle)], 1) * distance[:, None]
    aims = stage.target + rng.normal(0, 0.5 * stage.spread, (views, 3))
    return stage.target + offset, aims


_PLACES = {"orbit": _orbit, "walk": _walk, "pan": _pan, "collection": _collection}


def _intrinsics(views: int, side: int, rng: np.random.Generator, *, zoom: bool) -> Float64:
    """(V, 3, 3) K of square images, px; one lens for all views unless they zoom."""
    view = rng.uniform(NARROWEST_DEG, WIDEST_DEG, views if zoom and rng.random() < 0.6 else 1)
    focal = np.broadcast_to(side / 2 / np.tan(np.deg2rad(view) / 2), views)
    center = side / 2 + rng.normal(0, 0.02 * side, 2)
    K = np.zeros((views, 3, 3))
    K[:, 0, 0] = K[:, 1, 1] = focal
    K[:, :2, 2] = center
    K[:, 2, 2] = 1
    return K
