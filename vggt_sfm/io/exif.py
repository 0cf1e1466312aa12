"""What EXIF data say about a camera: its focal length and which camera it is."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from PIL import ExifTags, Image

from vggt_sfm.scene import Size

_FILM_DIAGONAL_MM = 43.2666  # 36 x 24 mm; CIPA DCG-001 defines the equivalent by the diagonal
_MM_PER_FOCAL_PLANE_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_PLAUSIBLE_FOCAL = (0.2, 20.0)  # times the longer side: 136 to 3 degrees


def focal_prior_px(exif: Image.Exif, size: Size) -> float | None:
    """Derive a focal length from EXIF data.

    Args:
        exif: The file's EXIF data.
        size: Size of the image, px, in either orientation.

    Returns:
        The focal length in px of ``size``; None where the data are absent or implausible.
    """
    details = exif.get_ifd(ExifTags.IFD.Exif)
    longer = max(size)
    focal = None
    film_mm = _number(details.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if film_mm:
        diagonal = (size.width**2 + size.height**2) ** 0.5
        focal = film_mm / _FILM_DIAGONAL_MM * diagonal
    else:
        focal_mm = _number(details.get(ExifTags.Base.FocalLength))
        sensor_mm = _sensor_width_mm(details)
        if focal_mm and sensor_mm:
            focal = focal_mm / sensor_mm * longer
    low, high = _PLAUSIBLE_FOCAL
    return focal if focal is not None and low <= focal / longer <= high else None


def camera_key(exif: Image.Exif, size: Size) -> str:
    """Name the camera by what its photos share: size, maker, model and focal lengths."""
    details = exif.get_ifd(ExifTags.IFD.Exif)
    words = [str(exif.get(tag, "")) for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
    for tag in (ExifTags.Base.FocalLength, ExifTags.Base.FocalLengthIn35mmFilm):
        millimetres = _number(details.get(tag))
        words.append(f"{millimetres:g}mm" if millimetres else "")
    known = [word.replace("\0", " ").strip() for word in words]
    return " ".join([f"{size.width}x{size.height}", *(word for word in known if word)])


def _sensor_width_mm(details: dict[int, Any]) -> float | None:
    """Width of the sensor, from the pixels per length unit that the camera had unresized."""
    resolution = _number(details.get(ExifTags.Base.FocalPlaneXResolution))
    unit = _MM_PER_FOCAL_PLANE_UNIT.get(details.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    original = [
        _number(details.get(tag))
        for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
    ]
    original_px = max((pixels for pixels in original if pixels), default=None)
    if not resolution or not unit or not original_px:
        return None
    return original_px / resolution * unit


def _number(value: Any) -> float | None:  # Any: EXIF values are whatever the file says
    """Return a positive finite number, or None; cameras write 0/0 for unknown."""
    try:
        number = float(Fraction(str(value)))
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if number > 0 else None
