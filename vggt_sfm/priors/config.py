"""Options of what is known of cameras beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GPS: Final = "gps"
"""In the place of a file: what the photographs' EXIF data say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorConfig:
    """What is known of cameras beforehand, and how firmly."""

    intrinsics: str | None = None
    """Known intrinsics: numbers in COLMAP's order for --camera-model, with commas between, px of
    the original photos (f,cx,cy for SIMPLE_PINHOLE); or a COLMAP model, its cameras.txt, or a
    transforms.json, whose images have the photos' names, or whose one camera took all."""
    intrinsics_sigma: float = 0.0
    """How uncertain known intrinsics are: a share of the focal length for focal lengths and
    principal points, itself for distortion. 0 holds them as they are."""
    poses: str | None = None
    """Known or approximate cameras: a COLMAP model, a transforms.json, a text file of positions (as
    for --positions), or gps for those in the photos. The result is in their world and scale."""
    rotation_sigma_deg: float = 2.0
    """How uncertain known rotations are, degrees. 0, with a position sigma of 0, holds cameras."""
    position_sigma: float | None = None
    """How uncertain known positions are, units of their file. When not given, what the file says,
    or how well the prediction fits positions, or 2 % of the extent of known cameras."""

    def __post_init__(self) -> None:
        sigmas = (self.intrinsics_sigma, self.rotation_sigma_deg, self.position_sigma or 0.0)
        if not all(sigma >= 0 for sigma in sigmas):
            raise ValueError("PriorConfig: standard deviations must be 0 or more")
