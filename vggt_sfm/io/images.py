"""Find photographs and decode them upright, as 8-bit RGB."""

from __future__ import annotations

import glob
import os
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from vggt_sfm import _files
from vggt_sfm._checks import UInt8
from vggt_sfm.errors import CapabilityError, InputError
from vggt_sfm.io.exif import camera_key, focal_prior_px
from vggt_sfm.scene import Frame, Size

HEIC_SUFFIXES = frozenset({".heic", ".heif"})
IMAGE_SUFFIXES = HEIC_SUFFIXES | frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
)
LIST_SUFFIX = ".txt"

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
    listed = [sources] if isinstance(sources, str | Path) else list(sources)
    found = {path.absolute() for source in listed for path in _expand(source, len(listed) == 1)}
    everything = len(found)
    for root in [folder.expanduser().resolve() for folder in exclude]:
        found = {path for path in found if not path.resolve().is_relative_to(root)}
    if everything and not found:
        raise InputError(
            f"all {everything} images lie in {' or '.join(map(str, exclude))}, where results and "
            "masks are; these need folders of their own"
        )
    if not found:
        wanted = " ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        named = ", ".join(str(source) for source in listed[:3]) + ", …" * (len(listed) > 3)
        raise InputError(f"no images in {named}: looked for files ending in {wanted}")
    if len(listed) == 1 and Path(listed[0]).is_dir():
        root = Path(listed[0]).absolute()
    else:
        root = Path(os.path.commonpath([path.parent for path in found]))
    files = [ImageFile(name=path.relative_to(root).as_posix(), path=path) for path in found]
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
        rgb = _to_rgb(image)
        return np.asarray(turned(rgb, _orientation(image)))


def read_frame(file: ImageFile) -> Frame:
    """Read what a file says about itself, and make sure that it decodes to its end.

    Args:
        file: One of the files from ``discover``.

    Returns:
        The frame, with a focal prior where the EXIF data have one.

    Raises:
        InputError: If the file cannot be decoded to its end.
        CapabilityError: If the format needs a library that is not installed.
    """
    with opened(file.path) as image:
        size = Size(*image.size)
        said = _orientation(image)
        # A JPEG at an eighth of its size still visits every byte, in a fraction of the time.
        image.draft("RGB", (1, 1))
        image.load()
        if _orientation(image) >= 5:
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
        )


def separate_unknown_cameras(frames: Sequence[Frame]) -> list[Frame]:
    """Give photographs of several sizes that do not name their camera one camera each.

    Photographs of one size, upright or turned, are taken to be from one camera; a mixture of
    sizes without EXIF data is how collected photographs look.
    """
    unknown = [_camera_is_unknown(frame) for frame in frames]
    shapes = {tuple(sorted(f.size)) for f, u in zip(frames, unknown, strict=True) if u}
    if len(shapes) < 2:
        return list(frames)
    return [
        replace(frame, camera_key=f"{frame.camera_key} of {frame.name}") if alone else frame
        for frame, alone in zip(frames, unknown, strict=True)
    ]


def _camera_is_unknown(frame: Frame) -> bool:
    return frame.camera_key == camera_key(Image.Exif(), frame.size)


def file_sha256(path: Path) -> str:
    """Hash the bytes of a file; InputError if it cannot be read."""
    try:
        return _files.file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def _expand(source: str | Path, alone: bool) -> Iterator[Path]:
    """Yield the image files that one source stands for; a text file counts only alone."""
    path = Path(source).expanduser()
    if path.is_dir():
        for folder, subfolders, names in os.walk(path):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            yield from (Path(folder, name) for name in names if _is_image_name(name))
    elif path.is_file():
        if alone and path.suffix.lower() == LIST_SUFFIX:
            yield from _read_list(path)
        elif _is_image_name(path.name):
            yield path
    elif glob.has_magic(str(source)):
        # Path.glob refuses absolute patterns.
        for match in map(Path, glob.glob(str(path), recursive=True)):  # noqa: PTH207
            if match.is_file() and _is_image_name(match.name):
                yield match
    else:
        raise InputError(f"{source}: no such file or folder")


def _read_list(path: Path) -> Iterator[Path]:
    """Yield the files of a list; relative paths start at the list's folder."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable list of images: {error}") from error
    for number, line in enumerate(lines, start=1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            listed = path.absolute().parent / entry
            if not listed.is_file():
                raise InputError(f"{path}, line {number}: no such file: {entry}")
            yield listed


def _is_image_name(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


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
        with warnings.catch_warnings():
            # Pillow takes more than 89 megapixels for an attack; medium-format cameras do that.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
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
        raise CapabilityError(
            "HEIC photos need one more package: pip install 'vggt-sfm[heic]'"
        ) from error
    register_heif_opener()


def _orientation(image: Image.Image) -> int:
    """Turn that is still due: once loaded, Pillow has turned a TIFF itself and says 1."""
    value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if value in _TRANSPOSE_FOR_ORIENTATION else 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image as it is meant to be looked at, given its EXIF orientation, 1 to 8."""
    transpose = _TRANSPOSE_FOR_ORIENTATION.get(orientation)
    return image if transpose is None else image.transpose(transpose)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image of any mode to 8-bit RGB."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
