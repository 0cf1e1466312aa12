"""Options of registering new photographs."""

from __future__ import annotations

from dataclasses import dataclass


# The share is COLMAP's (abs_pose_min_inlier_ratio). It asks for 30 points; of 237 photographs of
# other scenes beside four models (fountain-P11, Herz-Jesus-P8, sacre_coeur, 7scenes_a), none was
# matched to more than 5, and photographs held out of them had 28 to 780 that agree. The sigmas of
# those were 0.01 to 0.7 degrees, and 10 of one with 14 points.
@dataclass(frozen=True, slots=True, kw_only=True)
class LocalizeConfig:
    """When a photograph counts as found. Pixels hold at an image width of 518 px and scale."""

    min_inliers: int = 20
    """Fewest points of the model that a photograph must see where its pose says."""
    min_inlier_ratio: float = 0.25
    """Least share of the points it was matched to that must lie where its pose says."""
    max_error_px: float = 2.0
    """Largest reprojection error of a point that counts."""
    max_sigma_deg: float = 1.0
    """Largest standard deviation of a pose, as a rotation and as the angle that its position makes
    at the points it sees; poses that hang on a small corner have more."""
    neighbors: int = 20
    """Photographs of the model, and new ones, that each new one is matched with: those that look
    most alike where there are more."""
    threads: int = 0
    """Threads for features, which change no result; 0 uses all cores."""
    seed: int = 0
    """Seed of all random sampling."""

    def __post_init__(self) -> None:
        if self.min_inliers < 6 or self.neighbors < 2 or self.threads < 0:
            raise ValueError(
                "LocalizeConfig: min_inliers must be >= 6, neighbors >= 2, threads >= 0"
            )
        if not 0 <= self.min_inlier_ratio <= 1:
            raise ValueError(
                f"LocalizeConfig.min_inlier_ratio: {self.min_inlier_ratio} is not in [0, 1]"
            )
        if min(self.max_error_px, self.max_sigma_deg) <= 0:
            raise ValueError("LocalizeConfig: max_error_px and max_sigma_deg must be positive")
