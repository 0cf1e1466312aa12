"""Sets of photographs on disk, with their true cameras: one COLMAP model for every scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64, UInt8
from vggt_sfm._files import replacing_folder
from vggt_sfm.benchmarks.rendered_photographs import Shots, true_lenses, write_image, write_truth
from vggt_sfm.io.colmap import poses_by_name, read_sparse


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Photo:
    """One photograph with its true camera."""

    color: UInt8  # (H, W, 3)
    lens: pycolmap.Camera
    cam_from_world: Float64  # (3, 4)


def photos_of(shots: Shots) -> list[Photo]:
    """Return rendered views as photographs."""
    colors = (shots.color * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    cameras = zip(colors, true_lenses(shots), shots.cameras.cam_from_world, strict=True)
    return [Photo(color=color, lens=lens, cam_from_world=pose) for color, lens, pose in cameras]


def write_set(
    folder: Path, scenes: Sequence[Sequence[Photo]], rng: np.random.Generator | None = None
) -> None:
    """Write ``images`` and, for each scene, the model ``gt/0``, ``gt/1`` and so on.

    Photographs through lenses of different focal lengths name different cameras in their EXIF data.

    Args:
        folder: Made or replaced as a whole.
        scenes: The photographs of each, all in one folder.
        rng: Shuffles the names; without it they are in order.
    """
    every = [photo for photos in scenes for photo in photos]
    order = np.arange(len(every)) if rng is None else rng.permutation(len(every))
    names = [f"{number:02d}.png" for number in order]
    focals = [photo.lens.mean_focal_length() for photo in every]
    _, camera = np.unique(focals, return_inverse=True)
    with replacing_folder(folder) as fresh:
        images_folder(fresh).mkdir()
        for name, photo, number in zip(names, every, camera, strict=True):
            write_image(images_folder(fresh) / name, photo.color, f"lens {number}")
        first = 0
        for k, photos in enumerate(scenes):
            write_truth(
                truth_folder(fresh, k),
                names[first : first + len(photos)],
                [photo.lens for photo in photos],
                np.stack([photo.cam_from_world for photo in photos]),
            )
            first += len(photos)


def images_folder(folder: Path) -> Path:
    """Return where the photographs of a set are."""
    return folder / "images"


def truth_folder(folder: Path, scene: int | None = None) -> Path:
    """Return where the model of one of several scenes is, or of the only one."""
    return folder / "gt" if scene is None else folder / "gt" / str(scene)


def read_truth(folder: Path) -> list[dict[str, Float64]]:
    """Return the (3, 4) cam_from_world by name of every scene of a set, the largest first.

    Raises:
        InputError: If there is no model.
    """
    only = truth_folder(folder)
    models = sorted(path for path in only.glob("*") if path.is_dir())
    truths = [poses_by_name(read_sparse(model)) for model in models or [only]]
    return sorted(truths, key=len, reverse=True)
