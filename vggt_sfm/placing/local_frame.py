"""Positions on the ellipsoid in a metric frame: East, North and Up at their middle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm.placing.report import Origin
from vggt_sfm.scene import GpsPosition


def east_north_up(positions: Sequence[GpsPosition]) -> tuple[Float64, Origin]:
    """Express positions in the local frame at their median.

    Args:
        positions: At least one.

    Returns:
        (N, 3) metres East, North and Up, Up being NaN where the altitude is not known, and the
        frame's origin.
    """
    latitude = np.array([position.latitude_deg for position in positions])
    longitude = np.array([position.longitude_deg for position in positions])
    # Around the first one, because the median of 179 and -179 is not 0.
    longitude = longitude[0] + (longitude - longitude[0] + 180) % 360 - 180
    altitude = np.array(
        [np.nan if p.altitude_m is None else p.altitude_m for p in positions], np.float64
    )
    known = np.isfinite(altitude)
    level = float(np.median(altitude[known])) if known.any() else None
    center = np.array([np.median(latitude), np.median(longitude), level or 0.0])
    ellipsoid = np.stack([latitude, longitude, np.where(known, altitude, center[2])], axis=1)
    transform = pycolmap.GPSTransform(pycolmap.GPSTransformEllipsoid.WGS84)
    enu = np.array(transform.ellipsoid_to_enu(ellipsoid, *center))
    enu[~known, 2] = np.nan
    origin = Origin(
        latitude_deg=float(center[0]),
        longitude_deg=float((center[1] + 180) % 360 - 180),
        altitude_m=level,
    )
    return enu, origin
