"""Find photographs and decode them upright, as 8-bit RGB."""

from __future__ import annotations

import os
import re
import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from vggt_sfm import _files
from vggt_sfm._checks import UInt8
from vggt_sfm.errors import InputError, missing_extra
from vggt_sfm.io.exif import camera_key, focal_prior_px
from vggt_sfm.io.gps import gps_position
from vggt_sfm.io.sources import (
    HEIC_SUFFIXES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    as_list,
    endings,
    files_of,
)
from vggt_sfm.scene import Frame, Size

# What Pillow raises for a damaged file, depending on the format and where the damage lies.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)

_TRANSPOSE_FOR_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_OPPOSITE_ORIENTATION = {6: 8, 8: 6}  # all others undo themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An image file that was found and not yet opened."""

    name: str
    """Relative to what the files have in common, with forward slashes."""
    path: Path
    """Absolute."""


def discover(
    sources: str | Path | Sequence[str | Path], exclude: Sequence[Path] = ()
) -> list[ImageFile]:
    """Find the image files that the sources name, in natural order.

    Args:
        sources: A folder (with its sub-folders), a glob, a text file with one path per line, or
            several folders, globs and image files. Hidden files, and files without the suffix of
            an image, are passed over.
        exclude: Folders whose content is not taken: output and masks, when among the images.

    Returns:
        The files, sorted so that ``img2`` comes before ``img10``. Names are relative to the only
        folder given, otherwise to the deepest folder that holds all files.

    Raises:
        InputError: If a source does not exist or no image is found.
    """
    listed = as_list(sources)
    found = files_of(listed, IMAGE_SUFFIXES, exclude)
    everything = found or files_of(listed, IMAGE_SUFFIXES)
    if everything and not found:
        raise InputError(
            f"all {len(everything)} images lie in {' or '.join(map(str, exclude))}, where results "
            "and masks are; these need folders of their own"
        )
    if not found:
        named = ", ".join(str(source) for source in listed[:3]) + ", …" * (len(listed) > 3)
        raise InputError(
            f"no images in {named}: looked for files ending in {endings(IMAGE_SUFFIXES)}, and "
            f"for videos ending in {endings(VIDEO_SUFFIXES)}"
        )
    alone = len(listed) == 1 and Path(listed[0]).is_dir()
    return in_order(found, Path(listed[0]).absolute() if alone else None)


def in_order(paths: Iterable[Path], root: Path | None = None) -> list[ImageFile]:
    """Name files, and sort them so that ``img2`` comes before ``img10``.

    Args:
        paths: Absolute.
        root: What names are relative to; by default the deepest folder that holds all files.
    """
    paths = list(paths)
    root = root or Path(os.path.commonpath([path.parent for path in paths]))
    files = [ImageFile(name=path.relative_to(root).as_posix(), path=path) for path in paths]
    return sorted(files, key=lambda file: natural_key(file.name))


def read_upright(path: str | Path) -> UInt8:
    """Decode an image the way it is meant to be looked at.

    The EXIF orientation is applied, transparency is laid over white (rounded to nearest), grey is
    replicated, and 16-bit grey is divided by 257.

    Args:
        path: The image file.

    Returns:
        (H, W, 3) RGB.

    Raises:
        InputError: If the file cannot be decoded to its end.
        CapabilityError: If the format needs a library that is not installed.
    """
    with opened(path) as image:
        image.load()
        rgb = _to_rgb(image, blend=True)
        return np.asarray(turned(rgb, orientation_due(image)))


def read_unblended(path: str | Path, orientation: int) -> UInt8:
    """Decode an image with the colours that lie under its transparent pixels.

    Grey is replicated, and 16-bit grey is divided by 257, as in ``read_upright``.

    Args:
        path: The image file.
        orientation: The turn to apply, 1 to 8 as in EXIF, whatever the file says: that of the
            file makes the image upright, 1 leaves it as it lies in the file.

    Returns:
        (H, W, 3) RGB.

    Raises:
        InputError: If the file cannot be decoded to its end.
        CapabilityError: If the format needs a library that is not installed.
    """
    with opened(path) as image:
        said = orientation_due(image)
        image.load()
        rgb = _to_rgb(image, blend=False)
        if orientation_due(image) != said:  # a TIFF, which has been turned already
            rgb = turned(rgb, _OPPOSITE_ORIENTATION.get(said, said))
        return np.asarray(turned(rgb, orientation))


def read_frame(file: ImageFile) -> Frame:
    """Read what a file says about itself, and make sure that it decodes to its end.

    Args:
        file: One of the files from ``discover``.

    Returns:
        The frame, with a focal prior and a position where the EXIF data have them.

    Raises:
        InputError: If the file cannot be decoded to its end.
        CapabilityError: If the format needs a library that is not installed.
    """
    with opened(file.path) as image:
        size = Size(*image.size)
        said = orientation_due(image)
        # A JPEG at an eighth of its size still visits every byte, in a fraction of the time.
        image.draft("RGB", (1, 1))
        image.load()
        if orientation_due(image) >= 5:
            size = Size(size.height, size.width)
        exif = image.getexif()
        return Frame(
            name=file.name,
            path=str(file.path),
            size=size,
            sha256=file_sha256(file.path),
            exif_orientation=said,
            focal_prior_px=focal_prior_px(exif, size),
            camera_key=camera_key(exif, size),
            gps=gps_position(exif),
        )


def file_sha256(path: Path) -> str:
    """Hash the bytes of a file; InputError if it cannot be read."""
    try:
        return _files.file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort numbers by value and letters without case; ties by the exact name."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if part.isdigit() else part for part in parts], name


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """Open an image for a ``with`` block; whatever fails in the block names the file.

    Raises:
        InputError: If the file cannot be decoded.
        CapabilityError: If the format needs a library that is not installed.
    """
    if Path(path).suffix.lower() in HEIC_SUFFIXES:
        _register_heic()
    try:
        # Not by name: Pillow would map the file, and mix up the pixels of a TIFF on its side.
        with Path(path).open("rb") as stream:
            with warnings.catch_warnings():
                # Pillow takes more than 89 megapixels for an attack; medium-format cameras do that.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(stream)
            with image:
                if image.mode == "F":
                    raise ValueError("floating-point pixels; convert the image to 8 or 16 bit")
                yield image
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image that can be read") from error
    except _DECODE_ERRORS as error:
        raise InputError(f"{path}: {error}") from error


def _register_heic() -> None:
    """Teach Pillow to read HEIC."""
    try:
        from pi_heif import register_heif_opener
    except ImportError as error:
        raise missing_extra("HEIC photos need", "heic") from error
    register_heif_opener()


def orientation_due(image: Image.Image) -> int:
    """Return the turn that is still due: once loaded, Pillow has turned a TIFF and says 1."""
    value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if value in _TRANSPOSE_FOR_ORIENTATION else 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image as it is meant to be looked at, given its EXIF orientation, 1 to 8."""
    transpose = _TRANSPOSE_FOR_ORIENTATION.get(orientation)
    return image if transpose is None else image.transpose(transpose)


def is_deep(image: Image.Image) -> bool:
    """Tell whether an image is grey of more than 8 bits, which has no transparency."""
    return image.mode == "I" or image.mode.startswith("I;16")


def _to_rgb(image: Image.Image, *, blend: bool) -> Image.Image:
    """Convert a decoded image of any mode to 8-bit RGB, laid over white if it is to blend."""
    if is_deep(image):
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        if blend:
            white = Image.new("RGBA", image.size, (255, 255, 255, 255))
            rgba = Image.alpha_composite(white, rgba)
        return rgba.convert("RGB")
    return image.convert("RGB")
