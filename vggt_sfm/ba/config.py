"""Options of the seed and adjust stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CameraModel = Literal[
    "SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE"
]
Free = Literal["auto", "yes", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedConfig:
    """How predictions and tracks become a COLMAP model."""

    camera_model: CameraModel = "SIMPLE_PINHOLE"
    """COLMAP camera model of the photographs; models with distortion start without any. Needed for
    fisheye lenses: OPENCV_FISHEYE."""
    exif_focal: bool = True
    """Whether a focal length found in EXIF replaces the predicted one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleConfig:
    """How a model is adjusted. Pixel thresholds hold at an image width of 518 px and scale."""

    refine_focal: bool = True
    """Whether to refine focal lengths; never done with fewer than three images."""
    focal_sigma: float = 0.2
    """How uncertain predicted focal lengths are, as a share of them; tracks overrule it."""
    exif_focal_sigma: float = 0.1
    """The same of focal lengths from EXIF."""
    refine_distortion: Free = "auto"
    """Whether to refine distortion. auto: where held-out tracks fit better for it. SIMPLE_PINHOLE
    becomes SIMPLE_RADIAL then; with yes, PINHOLE becomes OPENCV."""
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
    """Whether images stay near their predicted pose, by as much as their tracks agree with it."""
    early_points: int = 80
    """Points an image in the rounds before the last, chosen for coverage; 0 takes all."""
    min_observations: int = 12
    """Images with fewer good observations, or fewer in common with the others, keep their predicted
    pose."""
    max_seconds: float | None = None
    """Stop after about this long and keep what there is; makes results depend on the machine."""
    threads: int | None = None
    """Solver threads, 0 for all cores; when not given, 1 below 50 images (bit-equal results)."""

    def __post_init__(self) -> None:
        positive = [self.max_error_px, 1.0 if self.loss_px is None else self.loss_px]
        if min(positive) <= 0 or self.min_angle_deg < 0:
            raise ValueError("BundleConfig: pixel thresholds must be positive, angles >= 0")
        if not min(self.focal_sigma, self.exif_focal_sigma) > 0:
            raise ValueError("BundleConfig: focal_sigma and exif_focal_sigma must be positive")
        if self.early_points < 0 or self.min_observations < 3 or (self.threads or 0) < 0:
            raise ValueError(
                "BundleConfig: early_points and threads must be >= 0, min_observations >= 3"
            )
        if self.max_seconds is not None and self.max_seconds <= 0:
            raise ValueError(f"BundleConfig.max_seconds: {self.max_seconds} is not positive")
