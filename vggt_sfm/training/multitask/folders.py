"""Scenes in folders: photographs, a COLMAP model and depth maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm._log import get_logger
from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import read_sparse
from vggt_sfm.io.depth import find_depth, network_depth, read_depth
from vggt_sfm.io.images import ImageFile, read_frame, read_upright
from vggt_sfm.io.preprocess import network_image, plan_pixel_maps
from vggt_sfm.scene import PixelMap, Size
from vggt_sfm.training.multitask.batch import SceneViews

if TYPE_CHECKING:
    import pycolmap

IMAGES, DEPTH = "images", "depth"
_MODELS = ("sparse/0", "sparse", "gt")
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosedPhoto:
    """A photograph with its camera and depth map."""

    path: Path
    depth_path: Path
    size: Size
    cam_from_world: Float64  # (3, 4)
    intrinsics: Float64  # (3, 3) px of the photograph


class FolderScene:
    """Photographs of one size, brought to the network's when they are needed."""

    def __init__(self, photos: Sequence[PosedPhoto], pixel_map: PixelMap) -> None:
        self._photos = tuple(photos)
        self._pixel_map = pixel_map
        self.num_frames = len(photos)

    def views(self, frames: Sequence[int]) -> SceneViews:
        """Read some of the photographs; see ``SceneReader``."""
        photos = [self._photos[i] for i in frames]
        to_network = self._pixel_map
        return SceneViews(
            images=np.stack([network_image(read_upright(p.path), to_network) for p in photos]),
            depth=np.stack([network_depth(read_depth(p.depth_path), to_network) for p in photos]),
            cam_from_world=np.stack([p.cam_from_world for p in photos]),
            intrinsics=np.stack([to_network.intrinsics_to_network(p.intrinsics) for p in photos]),
        )


def read_scenes(
    folder: Path, long_side: int, multiple: int, *, smallest: int = 1
) -> list[FolderScene]:
    """Read the scenes in a folder; those that cannot be used are warned of and left out.

    Args:
        folder: A scene, or a folder of scenes: each has ``images/``, a COLMAP model in
            ``sparse/0``, ``sparse`` or ``gt``, and ``depth/``.
        long_side: Width of the network's images, px.
        multiple: What their height is rounded to, px.
        smallest: What their height has to be at least, px.

    Raises:
        InputError: If there is no scene that can be used.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    candidates = [folder, *sorted(folder.iterdir())]
    found = [path for path in candidates if (path / IMAGES).is_dir()]
    scenes = []
    for path in found:
        try:
            scenes.append(read_scene(path, long_side, multiple, smallest=smallest))
        except InputError as error:
            _log.warning("%s is left out: %s", path, " ".join(str(error).split()))
    if not scenes:
        raise InputError(
            f"{folder}: none of {len(found)} scenes can be used; a scene has images/, a COLMAP "
            "model in sparse/0, and depth/"
        )
    return scenes


def read_scene(folder: Path, long_side: int, multiple: int, *, smallest: int = 1) -> FolderScene:
    """Read one scene and make sure that all its files can be used.

    Raises:
        InputError: If not; it says why.
    """
    model = read_sparse(_model_folder(folder))
    posed = [image for image in model.images.values() if image.has_pose]
    posed.sort(key=lambda image: image.name)
    if len(posed) < 2:
        raise InputError(f"{len(posed)} cameras, at least 2 are needed")
    with_depth = [(im, path) for im in posed if (path := find_depth(folder / DEPTH, im.name))]
    if len(with_depth) < 2:
        raise InputError(f"{len(with_depth)} of {len(posed)} images have a depth map")
    photos = [
        _checked_photo(folder / IMAGES, image, model.cameras[image.camera_id], path)
        for image, path in with_depth
    ]
    sizes = {photo.size for photo in photos}
    if len(sizes) > 1:
        (a, b), (c, d) = sorted(sizes)[:2]
        raise InputError(f"images of unequal sizes, such as {a} x {b} and {c} x {d}")
    (pixel_map,) = plan_pixel_maps([photos[0].size], "crop", long_side, multiple)
    if min(pixel_map.network) < smallest:
        width, height = pixel_map.network
        raise InputError(
            f"images become {width} x {height} for the network, too small for its track head "
            f"({smallest})"
        )
    return FolderScene(photos, pixel_map)


def _model_folder(scene: Path) -> Path:
    for name in _MODELS:
        if any((scene / name / f"cameras.{suffix}").is_file() for suffix in ("bin", "txt")):
            return scene / name
    raise InputError(f"no COLMAP model in {', '.join(_MODELS)}")


def _checked_photo(
    images: Path, image: pycolmap.Image, camera: pycolmap.Camera, depth_path: Path
) -> PosedPhoto:
    """Describe a photograph that decodes to its end and agrees with its camera and depth."""
    frame = read_frame(ImageFile(name=image.name, path=(images / image.name).absolute()))
    depth_size = Size(*read_depth(depth_path).shape[::-1])
    camera_size = Size(camera.width, camera.height)
    if frame.exif_orientation != 1:
        raise InputError(f"{image.name} is to be turned by its EXIF data, its camera is not")
    if not frame.size == camera_size == depth_size:
        sizes = (f"{size.width} x {size.height}" for size in (frame.size, camera_size, depth_size))
        raise InputError("{} is {}, its camera {}, its depth map {}".format(image.name, *sizes))
    if not camera.is_undistorted():
        raise InputError(f"{image.name} has a distorted camera; undistort the scene with COLMAP")
    return PosedPhoto(
        path=Path(frame.path),
        depth_path=depth_path,
        size=frame.size,
        cam_from_world=image.cam_from_world().matrix(),
        intrinsics=camera.calibration_matrix(),
    )
