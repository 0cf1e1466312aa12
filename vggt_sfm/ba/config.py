"""Options of the seed and adjust stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CameraModel = Literal["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL"]
Free = Literal["auto", "yes", "no"]

NUM_PARAMS: dict[CameraModel, int] = {"SIMPLE_PINHOLE": 3, "PINHOLE": 4, "SIMPLE_RADIAL": 4}
"""Intrinsics of each camera model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedConfig:
    """How predictions and tracks become a COLMAP model."""

    camera_model: CameraModel = "SIMPLE_PINHOLE"
    """COLMAP camera model; SIMPLE_RADIAL starts without distortion."""
    camera_params: str | None = None
    """Known intrinsics of all images in COLMAP's order, with commas between, px of the original
    photographs: f,cx,cy of a SIMPLE_PINHOLE. Say --adjust.no-refine-focal and the like to keep
    them as they are."""
    share_cameras: bool = True
    """Whether images with the same size and EXIF camera share one set of intrinsics."""
    exif_focal: bool = True
    """Whether a focal length found in EXIF replaces the predicted one."""

    def __post_init__(self) -> None:
        if self.camera_params is not None:
            self.known_params()

    def known_params(self) -> list[float]:
        """Return the given intrinsics as numbers, none if none are given.

        Raises:
            ValueError: If they are not as many positive numbers as the camera model has.
        """
        if self.camera_params is None:
            return []
        words, count = self.camera_params.split(","), NUM_PARAMS[self.camera_model]
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) != count or not values[0] > 0:
            raise ValueError(
                f"SeedConfig.camera_params: {self.camera_params!r} is not {count} numbers with a "
                f"positive focal length, as {self.camera_model} has"
            )
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleConfig:
    """How a model is adjusted. Pixel thresholds hold at an image width of 518 px and scale."""

    refine_focal: bool = True
    """Whether to refine focal lengths; never done with fewer than three images."""
    refine_distortion: Free = "auto"
    """Whether to refine a radial distortion. auto: where held-out tracks fit better for it; the
    camera model becomes SIMPLE_RADIAL then."""
    refine_principal_point: Free = "auto"
    """Whether to refine principal points. auto: where held-out tracks fit better for it, never for
    cameras with fewer than five images."""
    loss_px: float | None = None
    """Scale of the Cauchy loss in the last round; when not given, by the noise of the tracks."""
    max_error_px: float = 4.0
    """Observations with a larger reprojection error are outliers."""
    min_angle_deg: float = 1.0
    """Points seen under a smaller angle are dropped; lower by itself for narrow scenes."""
    pose_prior: bool = True
    """Whether images stay near their start, by as much as their tracks agree with it."""
    early_points: int = 80
    """Points an image in the rounds before the last, chosen for coverage; 0 takes all."""
    min_observations: int = 12
    """Images with fewer good observations keep their predicted pose."""
    max_seconds: float | None = None
    """Stop after about this long and keep what there is; makes results depend on the machine."""
    threads: int | None = None
    """Solver threads, 0 for all cores; when not given, 1 below 50 images (bit-equal results)."""

    def __post_init__(self) -> None:
        positive = [self.max_error_px, 1.0 if self.loss_px is None else self.loss_px]
        if min(positive) <= 0 or self.min_angle_deg < 0:
            raise ValueError("BundleConfig: pixel thresholds must be positive, angles >= 0")
        if self.early_points < 0 or self.min_observations < 3 or (self.threads or 0) < 0:
            raise ValueError(
                "BundleConfig: early_points and threads must be >= 0, min_observations >= 3"
            )
        if self.max_seconds is not None and self.max_seconds <= 0:
            raise ValueError(f"BundleConfig.max_seconds: {self.max_seconds} is not positive")
