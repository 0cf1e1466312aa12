"""Options of the track stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LARGEST_ZOOM = 2.0  # OpenCV's SIFT doubles every image; to see less, it is given a smaller one


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
    max_features: int = 2000
    """SIFT features an image, those of the most contrast first; a few more where a point has two
    orientations."""
    feature_zoom: float | None = None
    """How far photographs are enlarged for SIFT, at most 2. When not given, 1.4, for more than 24
    photographs 1; and where that found too little 2, with twice the features of half the
    contrast."""
    max_image_size: int = 3200
    """No image is enlarged beyond this for SIFT, longer ones are reduced, px; positions stay those
    of the photograph."""
    peak_threshold: float = 0.0133
    """Least contrast of a SIFT feature, as COLMAP counts it; its default finds twice as many at
    0.0067."""
    enough_points: int = 150
    """Where a quarter of the images have fewer matched points, SIFT takes a closer look."""
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
    threads: int = 0
    """Threads for extraction and matching, which change no result; 0 uses all cores."""
    seed: int = 0
    """Seed of the geometric verification."""

    def __post_init__(self) -> None:
        if self.max_features < 1 or self.max_image_size < 1 or self.min_inliers < 8:
            raise ValueError(
                "TrackConfig: max_features and max_image_size must be >= 1, min_inliers >= 8"
            )
        if self.neighbors < 1 or self.enough_points < 0:
            raise ValueError("TrackConfig: neighbors must be >= 1, enough_points >= 0")
        if self.feature_zoom is not None and not 0 < self.feature_zoom <= LARGEST_ZOOM:
            raise ValueError(
                f"TrackConfig.feature_zoom: {self.feature_zoom} is not in (0, {LARGEST_ZOOM:g}]"
            )
        if not 0 < self.peak_threshold < 1:
            raise ValueError(f"TrackConfig.peak_threshold: {self.peak_threshold} is not in (0, 1)")
        if not 0 < self.max_ratio <= 1:
            raise ValueError(f"TrackConfig.max_ratio: {self.max_ratio} is not in (0, 1]")
        if min(self.max_error_px, self.merge_px) <= 0 or min(self.conflict_px, self.threads) < 0:
            raise ValueError("TrackConfig: distances must be positive and threads >= 0")
