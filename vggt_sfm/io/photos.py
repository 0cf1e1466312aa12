"""The photographs of a COLMAP model, as files for programs that know less formats than we do."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pycolmap
from PIL import ExifTags, Image

from vggt_sfm._checks import UInt8
from vggt_sfm.errors import InputError
from vggt_sfm.io.images import natural_key, opened, read_unblended
from vggt_sfm.io.masks import read_mask
from vggt_sfm.scene import Frame, Size

# What programs for COLMAP models read; anything else becomes a JPEG of its name and .jpg.
_KEPT_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
_QUALITY = 95
_UPRIGHT = 1


def find_photos(model: pycolmap.Reconstruction, folder: Path) -> dict[str, Frame]:
    """Find the photographs of a model's images by name.

    COLMAP takes the pixels as they lie in the file, this project turns them upright first. Which
    of the two holds is seen from the camera's size; where both fit, the pixels are not turned.

    Args:
        model: Whose images.
        folder: What the names are relative to.

    Returns:
        A frame for each photograph that exists, by name. Files that are no image, or have another
        size than their camera, count as not found.
    """
    frames = {}
    for image in sorted(model.images.values(), key=lambda image: natural_key(image.name)):
        path = (folder / image.name).absolute()
        if image.has_pose and path.is_file():
            camera = model.cameras[image.camera_id]
            frame = _frame(image.name, path, Size(camera.width, camera.height))
            if frame is not None:
                frames[image.name] = frame
    return frames


def _frame(name: str, path: Path, size: Size) -> Frame | None:
    try:
        with opened(path) as image:
            in_file = Size(*image.size)
            said = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    except InputError:
        return None
    turned = said in (5, 6, 7, 8) and size == (in_file.height, in_file.width) != in_file
    if not turned and size != in_file:
        return None
    orientation = said if turned else _UPRIGHT
    return Frame(name=name, path=str(path), size=size, sha256="", exif_orientation=orientation)


def exported_name(name: str) -> str:
    """Return the name under which a photograph is exported; most keep theirs."""
    return name if Path(name).suffix.lower() in _KEPT_SUFFIXES else f"{name}.jpg"


def read_photo(frame: Frame) -> UInt8:
    """Decode a photograph as its camera sees it.

    Returns:
        (H, W, 3) RGB, nothing painted into what is masked or transparent.

    Raises:
        InputError: If it cannot be decoded, or no longer has the size it had.
    """
    rgb = read_unblended(frame.path, frame.exif_orientation)
    if rgb.shape[1::-1] != frame.size:
        raise InputError(
            f"{frame.path}: is {rgb.shape[1]} x {rgb.shape[0]} pixels, the model was made from "
            f"{frame.size.width} x {frame.size.height}"
        )
    return rgb


def copy_photo(frame: Frame, path: Path) -> None:
    """Write a photograph as its camera sees it: the same bytes wherever they show that.

    Args:
        frame: The photograph; its file is only read.
        path: Where to; the folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if _shows_itself(frame):
        shutil.copyfile(frame.path, path)
    else:
        save_photo(read_photo(frame), path)


def save_photo(rgb: UInt8, path: Path) -> None:
    """Write (H, W, 3) pixels in the format of the file's suffix; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.ascontiguousarray(rgb))
    if path.suffix.lower() in (".jpg", ".jpeg"):
        image.save(path, quality=_QUALITY, subsampling=0)
    elif path.suffix.lower() == ".webp":
        image.save(path, lossless=True)
    else:
        image.save(path)


def save_mask(usable: np.ndarray, path: Path) -> None:
    """Write (H, W) booleans as COLMAP's masks are: black where pixels must not be used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.where(usable, 255, 0).astype(np.uint8)).save(path)


def mask_or_all(frame: Frame) -> np.ndarray:
    """Return (H, W) booleans, all True for a photograph without a mask."""
    usable = read_mask(frame)
    return np.ones(frame.size[::-1], bool) if usable is None else usable


def _shows_itself(frame: Frame) -> bool:
    """Tell whether the file's own pixels, 8 bits of colour, are those of the camera."""
    if exported_name(frame.name) != frame.name:
        return False
    with opened(frame.path) as image:
        turned = frame.exif_orientation != _UPRIGHT
        # A reader that turns by EXIF would turn what a model of another tool leaves as it is.
        turned |= image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) != _UPRIGHT
        plain = image.mode == "RGB" and not image.has_transparency_data
        return not turned and plain and image.size == frame.size
