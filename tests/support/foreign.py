"""COLMAP models that another program might have made, and photographs that belong to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from vggt_sfm.io.opened import OpenedModel, PhotoDepth
from vggt_sfm.pipelines.opened import open_model
from vggt_sfm.scene import PixelMap, Size

Float64 = NDArray[np.float64]

# Principal points off the centre, pixels that are not square where the model can say so.
LENSES: dict[str, tuple[float, ...]] = {
    "SIMPLE_PINHOLE": (130.0, 84.3, 55.7),
    "PINHOLE": (130.0, 137.0, 84.3, 55.7),
    "SIMPLE_RADIAL": (130.0, 84.3, 55.7, -0.11),
    "RADIAL": (130.0, 84.3, 55.7, -0.13, 0.04),
    "OPENCV": (130.0, 137.0, 84.3, 55.7, -0.12, 0.05, 0.004, -0.006),
    "OPENCV_FISHEYE": (90.0, 94.0, 84.3, 55.7, 0.05, -0.02, 0.008, -0.002),
    "SIMPLE_RADIAL_FISHEYE": (90.0, 84.3, 55.7, 0.04),
    "RADIAL_FISHEYE": (90.0, 84.3, 55.7, 0.05, -0.015),
    "FULL_OPENCV": (130.0, 137.0, 84.3, 55.7, -0.1, 0.05, 0.004, -0.006, 0.01, 0.02, 0.01, 0.0),
}
SIZE = (160, 120)
# Of a side, that points keep from the border, where fisheye lenses have no inverse any more.
_MARGIN = 0.02


def camera(model: str, size: tuple[int, int] = SIZE, camera_id: int = 1) -> pycolmap.Camera:
    """Return a camera of this model whose pixels are those of ``LENSES`` drawn to this size."""
    found = pycolmap.Camera(
        camera_id=camera_id, model=model, width=SIZE[0], height=SIZE[1], params=LENSES[model]
    )
    if size != SIZE:
        found.rescale(*size)
    return found


def poses(count: int, seed: int = 0, spread: float = 1.0) -> list[pycolmap.Rigid3d]:
    """Return random cam_from_world, turned any way for a spread of 1 and hardly for a small one."""
    rng = np.random.default_rng(seed)
    turns = Rotation.random(count, random_state=seed).as_rotvec() * spread
    shifts = rng.uniform(-2, 2, (count, 3)) * spread
    return [
        pycolmap.Rigid3d(pycolmap.Rotation3d(Rotation.from_rotvec(turn).as_quat()), shift)
        for turn, shift in zip(turns, shifts, strict=True)
    ]


@dataclass
class Made:
    """A model, and which of its points were made to lie in which image."""

    model: pycolmap.Reconstruction
    xyz_of: dict[str, Float64]  # name -> (N, 3) world points all over that image


def made_model(
    names: Sequence[str],
    cameras: Sequence[pycolmap.Camera],
    placed: Sequence[pycolmap.Rigid3d],
    grid: tuple[int, int] = (6, 5),
    seed: int = 0,
) -> Made:
    """Make a model whose points lie all over each image.

    Args:
        names: Of the images.
        cameras: Used in turn.
        placed: cam_from_world of the images.
        grid: Points of each image, across and down; (0, 0) for a model without points.
        seed: Of their depths and colours.
    """
    rng = np.random.default_rng(seed)
    model = pycolmap.Reconstruction()
    for each in cameras:
        model.add_camera_with_trivial_rig(each)
    made = Made(model, {})
    for n, (name, pose) in enumerate(zip(names, placed, strict=True)):
        lens = cameras[n % len(cameras)]
        xy = _grid(lens, grid)
        rays = np.column_stack([lens.cam_from_img(xy), np.ones(len(xy))])
        in_camera = rays * rng.uniform(2, 6, (len(xy), 1))
        made.xyz_of[name] = in_camera @ pose.inverse().matrix()[:, :3].T
        made.xyz_of[name] += pose.inverse().translation
        image = pycolmap.Image(name=name, keypoints=xy, camera_id=lens.camera_id, image_id=n + 1)
        model.add_image_with_trivial_frame(image, pose)
        for k, xyz in enumerate(made.xyz_of[name]):
            track = pycolmap.Track()
            track.add_element(n + 1, k)
            model.add_point3D(xyz, track, rng.integers(0, 255, 3, dtype=np.uint8))
    return made


def _grid(lens: pycolmap.Camera, grid: tuple[int, int]) -> Float64:
    x = np.linspace(_MARGIN, 1 - _MARGIN, grid[0]) * lens.width
    y = np.linspace(_MARGIN, 1 - _MARGIN, grid[1]) * lens.height
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def projected(model: pycolmap.Reconstruction, name: str, xyz: Float64) -> Float64:
    """Return the (N, 2) px where COLMAP sees (N, 3) world points in an image."""
    image = model.find_image_with_name(name)
    lens = model.cameras[image.camera_id]
    return np.array([lens.img_from_cam(image.cam_from_world() * point) for point in xyz])


def save_noise(path: Path, size: tuple[int, int], seed: int = 0) -> None:
    """Write a photograph of smooth noise in the format of the suffix."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)


def write_workspace(
    folder: Path, made: Made, *, text: bool = False, sparse: str = "sparse/0"
) -> None:
    """Write the model to ``folder/sparse/0`` and a photograph for each image to ``images``."""
    (folder / sparse).mkdir(parents=True, exist_ok=True)
    write = made.model.write_text if text else made.model.write_binary
    write(folder / sparse)
    for n, image in sorted(made.model.images.items()):
        lens = made.model.cameras[image.camera_id]
        save_noise(folder / "images" / image.name, (lens.width, lens.height), seed=n)


def simple_workspace(folder: Path, names: Sequence[str] = ("a.png", "b.png", "c.png")) -> Made:
    """Write a small workspace of one PINHOLE camera, and return what is in it."""
    made = made_model(names, [camera("PINHOLE")], poses(len(names)), grid=(4, 3))
    write_workspace(folder, made)
    return made


def constant_depths(opened: OpenedModel, depth: float) -> dict[str, PhotoDepth]:
    """Return depth maps at half the size of the photographs that say the same everywhere."""
    depths = {}
    for image in opened.images():
        lens = opened.model.cameras[image.camera_id]
        small = Size(lens.width // 2, lens.height // 2)
        depths[image.name] = PhotoDepth(
            depth=np.full(small[::-1], depth, np.float32),
            confidence=np.ones(small[::-1], np.float32),
            pixel_map=PixelMap(
                original=Size(lens.width, lens.height),
                network=small,
                scale=(0.5, 0.5),
                offset=(0.0, 0.0),
            ),
        )
    return depths


def eventful(folder: Path, count: int = 3, seed: int = 0) -> OpenedModel:
    """Open a workspace of distorted photographs, one of them masked, with depth."""
    names = [f"{n}.png" for n in range(count)]
    made = made_model(names, [camera("OPENCV")], poses(count, seed))
    write_workspace(folder, made)
    save_noise(folder / "mask.png", SIZE)
    found = open_model(folder)
    frames = dict(found.frames)
    frames["1.png"] = replace(frames["1.png"], mask_path=str(folder / "mask.png"))
    return replace(found, frames=frames, depths=constant_depths(found, 3.0 + seed))


def content(folder: Path) -> dict[str, str]:
    """Hash every file, hidden ones too; what must not be left behind is seen as well."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
