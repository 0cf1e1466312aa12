"""Find the masks of photographs and read them, upright like the photographs themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from vggt_sfm._checks import Bool
from vggt_sfm._log import get_logger
from vggt_sfm.errors import InputError
from vggt_sfm.io.images import (
    ImageFile,
    file_sha256,
    is_deep,
    opened,
    orientation_due,
    turned,
)
from vggt_sfm.scene import Frame, Size

_OPAQUE_FROM = 128  # of 255: what shows more of the photograph than of what lies behind it
_MOST_NAMED = 3
_logger = get_logger(__name__)


def find_masks(folder: Path, files: Sequence[ImageFile]) -> dict[str, Path]:
    """Find the masks that belong to photographs.

    Args:
        folder: Where the masks lie: that of ``a/b.jpg`` is ``a/b.jpg.png``, as in COLMAP, or,
            where there is none, ``a/b.png``.
        files: The photographs.

    Returns:
        The absolute path of the mask by the photograph's name, for those that have one.

    Raises:
        InputError: If there is no mask for any of them.
    """
    folder = folder.expanduser().absolute()
    found: dict[str, Path] = {}
    for file in files:
        names = _mask_names(file.name)
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is not None:
            found[file.name] = path
    if not found:
        if not folder.is_dir():
            raise InputError(f"--masks {folder}: no such folder")
        first = _mask_names(files[0].name)
        raise InputError(
            f"--masks {folder}: no mask for any of {len(files)} images; that of {files[0].name} "
            f"would be named {first[0]} or {first[1]}"
        )
    _logger.info("masks: %d of %d images have one", len(found), len(files))
    without = [file.name for file in files if file.name not in found]
    if without:
        named = ", ".join(without[:_MOST_NAMED]) + ", …" * (len(without) > _MOST_NAMED)
        _logger.warning("--masks: none for %d images: %s", len(without), named)
    return found


def with_mask(frame: Frame, path: Path) -> Frame:
    """Return the frame with its mask, after making sure that the mask can be used.

    Raises:
        InputError: If the mask cannot be decoded, or has another size than the photograph.
    """
    _read(path, frame)
    return replace(frame, mask_path=str(path), mask_sha256=file_sha256(path))


def with_alpha_mask(frame: Frame) -> Frame:
    """Return the frame masked by its own alpha channel, if it has transparent pixels.

    Such a frame names itself as its mask.

    Raises:
        InputError: If the photograph cannot be decoded.
    """
    opaque = _read_opaque(frame)
    if opaque is None or opaque.all():
        return frame
    if not opaque.any():
        _logger.warning("%s is transparent everywhere: no tracks are looked for in it", frame.name)
    return replace(frame, mask_path=frame.path, mask_sha256=frame.sha256)


def read_mask(frame: Frame) -> Bool | None:
    """Return which pixels of a photograph may be used.

    Args:
        frame: The photograph, whose mask may be as large as the photograph in its file, and is
            then turned with it, or as large as the photograph upright. A photograph that is its
            own mask is read for its alpha.

    Returns:
        (H, W) upright; False where the mask is black, or the alpha below 128. None for a frame
        without a mask.

    Raises:
        InputError: If the mask cannot be decoded, or has another size than the photograph.
    """
    if frame.mask_path is None:
        return None
    if frame.mask_path == frame.path:
        return _read_opaque(frame)
    return _read(Path(frame.mask_path), frame)


def _mask_names(name: str) -> tuple[str, str]:
    return f"{name}.png", Path(name).with_suffix(".png").as_posix()


def _read(path: Path, frame: Frame) -> Bool:
    with opened(path) as image:
        size = Size(*image.size)
        in_file = frame.size if frame.exif_orientation < 5 else Size(*reversed(frame.size))
        if size not in (in_file, frame.size):
            raise InputError(
                f"{path}: the mask has {size.width} x {size.height} px, its image {frame.name} "
                f"{frame.size.width} x {frame.size.height}"
            )
        image.load()
        usable = Image.fromarray(_not_black(image))
    return np.asarray(turned(usable, frame.exif_orientation) if size == in_file else usable)


def _read_opaque(frame: Frame) -> Bool | None:
    """Return the (H, W) pixels of a photograph that are not transparent, upright."""
    with opened(frame.path) as image:
        if is_deep(image) or not image.has_transparency_data:
            return None
        image.load()
        alpha = image.convert("RGBA").getchannel("A")
        return np.asarray(turned(alpha, orientation_due(image))) >= _OPAQUE_FROM


def _not_black(image: Image.Image) -> Bool:
    """Return (H, W) pixels with any colour; transparency says nothing here."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGB")
    values = np.asarray(image)
    if values.ndim == 3:
        alpha = image.mode in ("LA", "La", "RGBA", "RGBa")
        return np.asarray((values[..., :-1] if alpha else values).any(axis=-1))
    return np.asarray(values != 0)
