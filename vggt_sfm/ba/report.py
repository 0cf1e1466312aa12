"""What an adjustment did, image by image and round by round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReport:
    """What became of one image."""

    name: str
    status: Literal["refined", "doubtful", "predicted"]
    """``doubtful``: refined, but far fewer observations fit than in the other images;
    ``predicted``: the pose is still the one from the network."""
    observations: int
    """Observations of the image before the adjustment."""
    inliers: int
    """Observations in the returned model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """One solve."""

    name: str
    points: int
    observations: int
    loss_px: float
    """Scale of the Cauchy loss, image px."""
    initial_cost: float
    final_cost: float
    iterations: int
    usable: bool
    """False: Ceres failed, and the round changed nothing."""
    converged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleReport:
    """The outcome of an adjustment; ``dataclasses.asdict`` of it is JSON."""

    status: Literal["refined", "rejected", "skipped"]
    """``rejected``: it ran, and the result was not better; the start was returned."""
    reason: str
    """Why it was rejected or skipped; empty when refined."""
    images: tuple[ImageReport, ...]
    rounds: tuple[RoundReport, ...]
    inlier_ratio_before: float
    """Share of all observations within the error threshold, 0 to 1."""
    inlier_ratio_after: float
    mean_reprojection_error_px: float | None
    """Of the returned model, as pycolmap computes it; None without points."""
    focal_before_px: float | None
    """Median over the images."""
    focal_after_px: float | None
    seconds: float

    @property
    def num_refined(self) -> int:
        """Number of images whose pose was refined."""
        return sum(image.status != "predicted" for image in self.images)
