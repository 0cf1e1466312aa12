"""Rendered photographs as files, in the form of the data sets of real ones."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
import torch
from PIL import ExifTags, Image
from pycolmap import Camera

from vggt_sfm import training
from vggt_sfm._checks import Float64, UInt8
from vggt_sfm.benchmarks.embedded_parts import METRES, Photographs
from vggt_sfm.io.colmap import write_sparse
from vggt_sfm.training.arrays import save_arrays
from vggt_sfm.training.rendering.antialias import render_smooth
from vggt_sfm.training.scenes.cameras import Cameras
from vggt_sfm.training.scenes.description import SceneDescription, stack_scenes
from vggt_sfm.training.textures import TextureBank

WIDTH, HEIGHT = 448, 336  # px
_CAMERAS = "cameras.npz"
_FARTHEST = 65.0  # metres; the depth files end there
_RENDERER = ("rendering/*.py", "scenes/*.py", "views.py", "warp.py", "textures.py", "photograph.py")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Shots:
    """S rendered views."""

    color: torch.Tensor  # (S, 3, H, W) in [0, 1]
    depth: torch.Tensor  # (S, H, W) metres, 0 = sky
    cameras: Cameras


def shoot(
    scene: SceneDescription, cameras: Cameras, bank: TextureBank, width: int = WIDTH
) -> Shots:
    """Render the views of cameras whose images are ``width`` wide, see :func:`cut`."""
    batch, height = stack_scenes([scene], bank.device), height_of(width)
    color, depth = [], []
    # view by view: the arrays of a few million rays do not fit into a cache
    for pose, K in zip(cameras.cam_from_world, cameras.intrinsics, strict=True):
        camera, lens = (
            torch.as_tensor(a, dtype=torch.float32, device=bank.device) for a in (pose, K)
        )
        seen, distance = render_smooth(batch, bank, camera, lens, height, width)
        color.append(seen.permute(2, 0, 1))
        depth.append(distance)
    return Shots(color=torch.stack(color), depth=torch.stack(depth), cameras=cameras)


def cut(cameras: Cameras, side: int) -> Cameras:
    """Cut square images of ``side`` px at the top and the bottom."""
    K = cameras.intrinsics.copy()
    K[:, 1, 2] -= (side - height_of(side)) / 2
    return Cameras(style=cameras.style, cam_from_world=cameras.cam_from_world, intrinsics=K)


def height_of(width: int) -> int:
    """Return the height of images, px."""
    return width * HEIGHT // WIDTH


def write_photographs(folder: Path, shots: Shots) -> Photographs:
    """Write images, depth and cameras into a folder that is replaced.

    Images of different focal lengths name different cameras, but tell no focal length.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "depth").mkdir(parents=True)
    (folder / "images").mkdir()
    focal = shots.cameras.intrinsics[:, 0, 0]
    _, lens = np.unique(focal, return_inverse=True)
    colors = (shots.color * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    depths = torch.where(shots.depth < _FARTHEST, shots.depth, 0).cpu().numpy()
    names = [f"{s:02d}.png" for s in range(len(colors))]
    for s, (color, depth) in enumerate(zip(colors, depths, strict=True)):
        write_image(folder / "images" / names[s], color, f"lens {lens[s]}")
        Image.fromarray((depth / METRES).round().astype(np.uint16)).save(
            folder / "depth" / names[s], compress_level=1
        )
    write_truth(folder / "gt", names, true_lenses(shots), shots.cameras.cam_from_world)
    # last: a folder that has it is whole
    save_arrays(
        folder / _CAMERAS,
        cam_from_world=shots.cameras.cam_from_world,
        intrinsics=shots.cameras.intrinsics,
    )
    return read_photographs(folder)


def true_lenses(shots: Shots) -> list[Camera]:
    """Return the S pinhole cameras of rendered views."""
    height, width = shots.color.shape[-2:]
    return [
        Camera(model="PINHOLE", width=width, height=height, params=K[[0, 1, 0, 1], [0, 1, 2, 2]])
        for K in shots.cameras.intrinsics
    ]


def write_truth(
    folder: Path, names: Sequence[str], lenses: Sequence[Camera], poses: Float64
) -> None:
    """Write a COLMAP model without points, as ``vggt-sfm bench poses`` reads it.

    Args:
        folder: Of the model.
        names: Of S images.
        lenses: Of each image.
        poses: (S, 3, 4) cam_from_world.
    """
    model = pycolmap.Reconstruction()
    for s, (name, lens, pose) in enumerate(zip(names, lenses, poses, strict=True), start=1):
        camera = copy(lens)
        camera.camera_id = s
        model.add_camera_with_trivial_rig(camera)
        image = pycolmap.Image(name=name, camera_id=s, image_id=s)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose))
    write_sparse(folder, model)


def write_image(path: Path, color: UInt8, camera: str) -> None:
    """Write an (H, W, 3) image whose EXIF data name a camera, but no focal length."""
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = camera
    Image.fromarray(color).save(path, exif=exif, compress_level=1)


def is_written(folder: Path) -> bool:
    """Whether :func:`write_photographs` came to its end here."""
    return (folder / _CAMERAS).is_file()


def read_photographs(folder: Path) -> Photographs:
    """Read what :func:`write_photographs` wrote."""
    with np.load(folder / _CAMERAS) as data:
        poses: Float64 = data["cam_from_world"]
        intrinsics: Float64 = data["intrinsics"]
    return Photographs(
        images=tuple(folder / "images" / f"{s:02d}.png" for s in range(len(poses))),
        cam_from_world=poses,
        intrinsics=intrinsics,
        depth_folder=folder / "depth",
    )


def renderer_key() -> str:
    """Return what changes with the code that draws and renders scenes."""
    root = Path(training.__path__[0])
    files = sorted(path for pattern in _RENDERER for path in root.glob(pattern))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]
