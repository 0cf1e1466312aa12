"""How far the cameras of one model are from those of another, as figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

THRESHOLDS_DEG = (1, 3, 5, 10, 30)
MatchedBy = Literal["name", "file name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the models."""

    letter: str
    """A, B or G, as they were named on the command line."""
    path: str
    images: int
    """Those with a pose."""
    cameras: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDelta:
    """One image in both models, whose worlds are aligned by the images that agree."""

    name: str
    """In the reference."""
    rotation_deg: float
    distance: float | None
    """Between the camera centres, units of the reference; None where nothing tells the scale."""
    distance_share: float | None
    """Of the reference's extent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraDelta:
    """The intrinsics of images that have one camera in each model."""

    camera_id: int
    reference_id: int
    images: int
    model: str
    reference_model: str
    size: tuple[int, int]
    reference_size: tuple[int, int]
    focal_percent: float
    """Mean focal length, brought to the reference's width, minus that of the reference."""
    principal_point_px: float
    """Distance of the principal points at the reference's size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A model beside a reference."""

    model: Side
    reference: Side
    matched_by: MatchedBy
    """File name: without folders, because no full name is in both."""
    common: int
    only_model: tuple[str, ...]
    only_reference: tuple[str, ...]
    pairs: int
    """Of the reference's images; what the areas are shares of."""
    failed_pairs: int
    """Those with an image that the model does not have."""
    auc_exact: dict[str, float] | None
    """Area under the recall curve, percent, by threshold in degrees: trapezoids, and directions
    with their sign. None where the reference has one image."""
    auc_histogram: dict[str, float] | None
    """The same in one-degree bins, opposite directions being equal, as in VGGT."""
    ate_rmse: float | None
    """Of the camera centres after the least-squares similarity, units of the reference; None for
    fewer than 3 images in common, or centres all in one place."""
    ate_median: float | None
    extent: float
    """The largest distance between two cameras of the reference."""
    rotation_median_deg: float | None
    rotation_worst_deg: float | None
    """Of ``images``; None for a single one, which aligns with anything."""
    images: tuple[ImageDelta, ...]
    """The worst first: by the larger of the angle in radians and the share of the extent."""
    cameras: tuple[CameraDelta, ...]
    """The largest error of the focal length first."""
    remarks: tuple[str, ...] = ()
    """What is missing or weaker than it might look, and why."""
