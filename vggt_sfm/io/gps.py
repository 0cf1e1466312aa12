"""Where a photograph was taken, as far as its EXIF data can be believed."""

from __future__ import annotations

import math
import struct
from typing import Any

from PIL import ExifTags, Image

from vggt_sfm.scene import GpsPosition

_VOID = "V"  # GPSStatus: the receiver had no fix, and the position is an old one or none
_BELOW = (1, 3)  # GPSAltitudeRef: below sea level, below the ellipsoid (EXIF 3.0)
_POSSIBLE_ALTITUDE_M = (-1_000.0, 100_000.0)
_POSSIBLE_SIGMA_M = (0.0, 10_000.0)

# What Pillow raises where the table of GPS tags is damaged; the photograph may be sound.
_TABLE_ERRORS = (KeyError, TypeError, ValueError, OSError, SyntaxError, EOFError, struct.error)


def gps_position(exif: Image.Exif) -> GpsPosition | None:
    """Read where a photograph was taken.

    Args:
        exif: The file's EXIF data.

    Returns:
        The position; None where the data have none or one that cannot be: without hemisphere, out
        of range, marked as void, or exactly 0 N 0 E, which cameras write that have no fix. An
        impossible altitude or uncertainty is left out.
    """
    try:
        table = dict(exif.get_ifd(ExifTags.IFD.GPSInfo))
    except _TABLE_ERRORS:
        return None
    latitude = _angle_deg(table, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "NS")
    longitude = _angle_deg(table, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "EW")
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None
    if (
        abs(latitude) > 90
        or abs(longitude) > 180
        or _word(table.get(ExifTags.GPS.GPSStatus)) == _VOID
    ):
        return None
    return GpsPosition(
        latitude_deg=latitude,
        longitude_deg=longitude,
        altitude_m=_altitude_m(table),
        sigma_m=_between(_number(table.get(ExifTags.GPS.GPSHPositioningError)), _POSSIBLE_SIGMA_M),
    )


def _angle_deg(table: dict[int, Any], tag: int, ref: int, signs: str) -> float | None:
    """Return degrees, negative for the second of two hemispheres; None if anything is missing."""
    hemisphere = _word(table.get(ref))
    value = table.get(tag)
    parts = list(value) if isinstance(value, tuple | list) else [value]
    numbers = [_number(part) for part in parts]
    if len(hemisphere) != 1 or hemisphere not in signs or not 1 <= len(numbers) <= 3:
        return None
    degrees = 0.0
    for number, unit, limit in zip(numbers, (1, 60, 3600), (180, 60, 60), strict=False):
        if number is None or not 0 <= number <= limit:
            return None
        degrees += number / unit
    return -degrees if hemisphere == signs[1] else degrees


def _altitude_m(table: dict[int, Any]) -> float | None:
    altitude = _number(table.get(ExifTags.GPS.GPSAltitude))
    reference = table.get(ExifTags.GPS.GPSAltitudeRef, 0)
    if isinstance(reference, bytes):  # Pillow leaves the type BYTE as it is
        reference = reference[0] if reference else 0
    if altitude is not None and _number(reference) in _BELOW:
        altitude = -abs(altitude)
    return _between(altitude, _POSSIBLE_ALTITUDE_M)


def _between(number: float | None, limits: tuple[float, float]) -> float | None:
    return number if number is not None and limits[0] < number < limits[1] else None


def _word(value: Any) -> str:  # Any: EXIF values are whatever the file says
    """Return a short text in capitals, without the ends that cameras pad it with."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 ").upper()


def _number(value: Any) -> float | None:
    """Return a finite number or None; cameras write 0/0 for unknown."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None
