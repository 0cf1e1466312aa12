"""Options of the track stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackConfig:
    """How image points are found, matched, verified and joined into tracks."""

    guided: bool = True
    """Match SIFT features where predicted cameras and depth say they should be."""
    sift: bool = False
    """Match SIFT features of every pair of images over the whole image, as COLMAP does."""
    predicted: bool = True
    """Use the network's own matches, where it has some."""
    refine: bool = True
    """Align points at the photographs' resolution, to a fraction of a pixel."""
    database: Path | None = None
    """A COLMAP database whose matches are used beside the others; it is only read. Pairs that it
    has a two-view geometry of are believed, its other matches are verified."""
    max_features: int = 4096
    """SIFT features an image, the largest first; a few more where a point has two orientations."""
    max_image_size: int = 3200
    """Images with a longer side are reduced to this for SIFT, px; positions stay full-size."""
    first_octave: int | None = None
    """SIFT's first octave: 0 is the image as it is; -1 doubles it first, which gives twice the
    features at four times the cost. When not given, 0, and -1 where that found too little."""
    enough_points: int = 250
    """Where a quarter of the images have fewer matched points, images are doubled for SIFT."""
    neighbors: int = 20
    """Images that each one is matched with where there are more than a dozen."""
    max_ratio: float = 0.8
    """Largest ratio of best to second-best SIFT distance, 0 to 1."""
    max_error_px: float = 4.0
    """Largest distance from the epipolar line, px: of the image for SIFT, of the network's input
    for its own matches."""
    min_inliers: int = 15
    """Pairs with fewer verified matches are dropped."""
    merge_px: float = 1.0
    """The network's matches closer than this in one image are one point, px of its input."""
    conflict_px: float = 3.0
    """A track may see one image twice within this distance, px at 518 px image width; the
    better connected point is kept. Farther apart, it loses both."""
    threads: int = 1
    """Threads for extraction and matching; 0 uses all cores."""
    seed: int = 0
    """Seed of the geometric verification."""

    def __post_init__(self) -> None:
        if self.max_features < 1 or self.max_image_size < 1 or self.min_inliers < 8:
            raise ValueError(
                "TrackConfig: max_features and max_image_size must be >= 1, min_inliers >= 8"
            )
        if self.neighbors < 1 or self.enough_points < 0:
            raise ValueError("TrackConfig: neighbors must be >= 1, enough_points >= 0")
        if not 0 < self.max_ratio <= 1:
            raise ValueError(f"TrackConfig.max_ratio: {self.max_ratio} is not in (0, 1]")
        if min(self.max_error_px, self.merge_px) <= 0 or min(self.conflict_px, self.threads) < 0:
            raise ValueError("TrackConfig: distances must be positive and threads >= 0")
