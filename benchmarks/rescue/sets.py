"""The hard sets: how each is made, and what makes it hard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm.ba.config import CameraModel
from vggt_sfm.benchmarks.rendered_views import RenderedScene, draw_shots, draw_views
from vggt_sfm.benchmarks.rescue.corridor import along_and_back, corridor
from vggt_sfm.benchmarks.rescue.lenses import render_lens
from vggt_sfm.benchmarks.rescue.photos import Photo, photos_of, write_set
from vggt_sfm.benchmarks.rescue.turntable import around, turntable
from vggt_sfm.benchmarks.rescue.wrong_start import Disturbance
from vggt_sfm.training.scenes.description import SceneDescription, stack_scenes
from vggt_sfm.training.seeds import FIRST_TEST_SEED
from vggt_sfm.training.textures import TextureBank

WIDTH = 640  # px, of photographs through lenses of our choice; 4:3
_FIRST_SEED = FIRST_TEST_SEED + 200_000  # the failure map has those before
_NOISE = 0.01
_NARROW_DEG, _CLOSE_DEG, _USUAL_DEG = 38.0, 33.0, 73.0
_MIXED = (("room", 902), ("street", 900))  # each is found whole when it is alone
_FISHEYE = (300.0, 300.0, 322.0, 238.0, 0.02, -0.005, 0.001, 0.0)  # px at a width of 640: 121°

Draw = Callable[[TextureBank, int], list[list[Photo]]]
"""Renders the scenes of a set, the images being so many px wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardSet:
    """Photographs that a plain run may lose."""

    name: str
    why: str
    """What is hard about it."""
    draw: Draw
    mixed: bool = False
    """Whether names say nothing about the order."""
    camera_model: CameraModel = "SIMPLE_PINHOLE"
    disturbance: Disturbance | None = None
    """What is done to the predicted cameras, if the set is not hard in itself."""

    def write(self, folder: Path, bank: TextureBank, width: int = WIDTH) -> None:
        """Render and write it, the same for the same textures and width."""
        rng = np.random.default_rng(_FIRST_SEED) if self.mixed else None
        write_set(folder, self.draw(bank, width), rng)


def _turntable(bank: TextureBank, width: int) -> list[list[Photo]]:
    return [_around_object(bank, width, _NARROW_DEG)]


def _close_turntable(bank: TextureBank, width: int) -> list[list[Photo]]:
    return [_around_object(bank, width, _CLOSE_DEG)]


def _around_object(bank: TextureBank, width: int, view_deg: float) -> list[Photo]:
    scene = turntable(np.random.default_rng(_FIRST_SEED), bank.count)
    return photographed(scene, bank, pinhole(width, view_deg), around(12))


def _corridor(bank: TextureBank, width: int) -> list[list[Photo]]:
    rng = np.random.default_rng(_FIRST_SEED + 1)
    scene, poses = corridor(rng, bank.count), along_and_back(16, rng)
    return [photographed(scene, bank, pinhole(width, _USUAL_DEG), poses)]


def _two_sets(bank: TextureBank, width: int) -> list[list[Photo]]:
    room, street = (RenderedScene(kind=kind, number=n) for kind, n in _MIXED)
    return [
        photos_of(draw_shots(room, bank, 8, width)),
        photos_of(draw_shots(street, bank, 6, width)),
    ]


def _heap(bank: TextureBank, width: int) -> list[list[Photo]]:
    return [photos_of(draw_shots(RenderedScene(kind="clutter", number=900), bank, 10, width))]


def _statue(bank: TextureBank, width: int) -> list[list[Photo]]:
    return [photos_of(draw_shots(RenderedScene(kind="statue", number=900), bank, 10, width))]


def _fisheye(bank: TextureBank, width: int) -> list[list[Photo]]:
    rng = np.random.default_rng(_FIRST_SEED + 2)
    scene, cameras = draw_views("room", rng, bank, 10, width)
    return [photographed(scene, bank, fisheye(width), cameras.cam_from_world)]


_ALL = (
    HardSet(
        name="turntable",
        why="12 photographs 30° apart of an object with little texture, plain background",
        draw=_turntable,
    ),
    HardSet(name="corridor", why="equal doors, walked along and back", draw=_corridor),
    HardSet(
        name="two_sets", why="8 photographs of a room, 6 of a street", draw=_two_sets, mixed=True
    ),
    HardSet(
        name="fisheye",
        why="121° across, an OPENCV_FISHEYE lens",
        draw=_fisheye,
        camera_model="OPENCV_FISHEYE",
    ),
    HardSet(
        name="wrong_1",
        why="1 camera of 10 predicted 60° off",
        draw=_heap,
        disturbance=Disturbance(cameras=1),
    ),
    HardSet(
        name="wrong_3",
        why="3 cameras of 10 predicted 60° off",
        draw=_heap,
        disturbance=Disturbance(cameras=3),
    ),
    HardSet(
        name="wrong_all",
        why="all 12 cameras predicted 60° off",
        draw=_close_turntable,
        disturbance=Disturbance(),
    ),
    HardSet(
        name="exchanged_2",
        why="2 cameras of 12 predicted in each other's place",
        draw=_close_turntable,
        disturbance=Disturbance(cameras=2, how="exchanged"),
    ),
    HardSet(
        name="exchanged_all",
        why="all 10 cameras predicted in another's place",
        draw=_statue,
        disturbance=Disturbance(how="exchanged"),
    ),
)
SETS: dict[str, HardSet] = {each.name: each for each in _ALL}


def pinhole(width: int, view_deg: float) -> pycolmap.Camera:
    """Return a camera without distortion for 4:3 images that are ``width`` px wide."""
    height = width * 3 // 4
    focal = width / 2 / np.tan(np.deg2rad(view_deg) / 2)
    params = [focal, focal, width / 2, height / 2]
    return pycolmap.Camera(model="PINHOLE", width=width, height=height, params=params)


def fisheye(width: int) -> pycolmap.Camera:
    """Return a camera of 121 degrees across for 4:3 images that are ``width`` px wide."""
    camera = pycolmap.Camera(model="OPENCV_FISHEYE", width=640, height=480, params=_FISHEYE)
    camera.rescale(width, width * 3 // 4)
    return camera


def photographed(
    scene: SceneDescription, bank: TextureBank, lens: pycolmap.Camera, poses: Float64
) -> list[Photo]:
    """Render a scene through a lens from (S, 3, 4) cam_from_world, with a little noise."""
    batch, rng = stack_scenes([scene], bank.device), np.random.default_rng(_FIRST_SEED)
    photos = []
    for pose in poses:
        color = render_lens(batch, bank, lens, pose).cpu().numpy()
        noisy = (color + _NOISE * rng.standard_normal(color.shape)).clip(0, 1)
        pixels = (255 * noisy).round().astype(np.uint8)
        photos.append(Photo(color=pixels, lens=lens, cam_from_world=pose))
    return photos
