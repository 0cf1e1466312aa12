"""Scenes of the rendered test set, each with views that share much, but not everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vggt_sfm._checks import Bool, Float64
from vggt_sfm.benchmarks.rendered_photographs import WIDTH, Shots, cut, height_of, shoot
from vggt_sfm.geometry.rigid import rotation_angle_deg
from vggt_sfm.training.photograph import photograph
from vggt_sfm.training.scenes.cameras import Cameras, random_cameras
from vggt_sfm.training.scenes.description import SceneDescription, stack_scenes
from vggt_sfm.training.scenes.draw import KINDS, random_scene
from vggt_sfm.training.seeds import FIRST_TEST_SEED
from vggt_sfm.training.textures import TextureBank
from vggt_sfm.training.views import survey

VIEWS = 8
MOST_ROTATION_DEG = 60.0
OVERLAPS = (0.3, 0.9)
MOST_PAIRS = 0.6  # share of pairs that keep within both
_SEEDS_A_KIND = 1000
_CANDIDATES = 24  # cameras
_ATTEMPTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedScene:
    """Which scene, before it is rendered."""

    kind: str
    number: int

    @property
    def name(self) -> str:
        """Its folder, in that of its kind."""
        return f"{self.kind.replace(' ', '-')}/{self.number}"

    @property
    def seed(self) -> int:
        """Decides everything random in it."""
        return FIRST_TEST_SEED + _SEEDS_A_KIND * list(KINDS).index(self.kind) + self.number


def all_scenes(each: int) -> list[RenderedScene]:
    """Return a number of scenes of every kind."""
    return [RenderedScene(kind=kind, number=n) for kind in KINDS for n in range(each)]


def draw_shots(
    chosen: RenderedScene, bank: TextureBank, views: int = VIEWS, width: int = WIDTH
) -> Shots:
    """Draw a scene and cameras, render it, and spoil the images as cameras do.

    Raises:
        RuntimeError: If no cameras fit any scene.
    """
    rng = np.random.default_rng(chosen.seed)
    scene, cameras = draw_views(chosen.kind, rng, bank, views, width)
    shots = shoot(scene, cameras, bank, width)
    return replace(shots, color=photograph(shots.color, rng))


def draw_views(
    kind: str, rng: np.random.Generator, bank: TextureBank, views: int, width: int
) -> tuple[SceneDescription, Cameras]:
    """Draw a scene of a kind and cameras whose images are ``width`` wide.

    Raises:
        RuntimeError: If no cameras fit any scene.
    """
    height = height_of(width)
    for _ in range(_ATTEMPTS):
        scene, stage = random_scene(rng, bank.count, kind)
        cameras = cut(random_cameras(stage, _CANDIDATES, width, rng), width)
        usable, overlap = survey(stack_scenes([scene], bank.device), cameras, height, width)
        order = rng.permutation(usable).tolist()
        kept = mostly_moderate(moderate_pairs(cameras, overlap), order, views)
        if kept is not None:
            return scene, rows_of(cameras, kept)
    raise RuntimeError(f"no {views} cameras fit any of {_ATTEMPTS} scenes of kind {kind}")


def rows_of(cameras: Cameras, rows: Sequence[int]) -> Cameras:
    """Return some of the cameras."""
    return Cameras(
        style=cameras.style,
        cam_from_world=cameras.cam_from_world[list(rows)],
        intrinsics=cameras.intrinsics[list(rows)],
    )


def moderate_pairs(cameras: Cameras, overlap: Float64) -> Bool:
    """Which of V cameras are not turned too far and share neither too little nor too much.

    Args:
        cameras: V cameras.
        overlap: (V, V) share of each view that each other one sees; the smaller way counts.

    Returns:
        (V, V).
    """
    R = cameras.cam_from_world[:, :, :3]
    angle = rotation_angle_deg(R[:, None] @ R[None].swapaxes(-1, -2))
    both = np.minimum(overlap, overlap.T)
    low, high = OVERLAPS
    return np.asarray((angle <= MOST_ROTATION_DEG) & (both >= low) & (both <= high))


def mostly_moderate(moderate: Bool, order: Sequence[int], views: int) -> list[int] | None:
    """Grow a set of views, each moderate beside most of those before it.

    Args:
        moderate: (V, V) pairs.
        order: Views that may be taken, in this order.
        views: How many are wanted.

    Returns:
        Ascending rows; None if there is no such set.
    """
    for start in order:
        kept = [start]
        for row in order:
            if row not in kept and moderate[row, kept].mean() >= MOST_PAIRS:
                kept.append(row)
            if len(kept) == views:
                return sorted(kept)
    return None
