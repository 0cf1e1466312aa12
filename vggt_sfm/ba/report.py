"""What an adjustment did, image by image and round by round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ImageStatus = Literal["refined", "registered", "predicted only", "rejected"]
"""What holds an image's pose. refined: adjusted, and its observations agree with it. registered:
in the model with observations, but as predicted, or adjusted with so few of its observations that
it may be misplaced; or where the other cameras of its rig put it. predicted only: no track of the
model sees it. rejected: its observations contradict the other images, it keeps its predicted pose
and loses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReport:
    """What became of one image."""

    name: str
    status: ImageStatus
    reason: str | None
    """Why it was not refined."""
    observations: int
    """Observations of the image before the adjustment."""
    inliers: int
    """Observations in the returned model."""
    outlier_score: float = 0.0
    """Share of what it has in common with other images that the returned model contradicts; 1 for
    an image without anything in common."""
    rotation_sigma_deg: float | None = None
    """Uncertainty of the rotation from noise of the tracks alone, relative to the first adjusted
    image, degrees; None where it is not known."""
    translation_sigma: float | None = None
    """The same of the translation, scene units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """Two images whose matches the returned model contradicts."""

    first: str
    second: str
    matches: int
    """Points that were matched and verified between them."""
    agree: int
    """Of these, those that the model keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """What held-out tracks say of one choice of what is free."""

    name: str
    gain: float
    """By how much it explains them better than the first choice, in log-likelihood."""
    standard_error: float
    """Of the gain."""
    chosen: bool


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
    costs: tuple[float, ...] = ()
    """At the start and after each iteration."""
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
    doubtful_pairs: tuple[PairReport, ...] = ()
    """Pairs that look alike where the model says they are not, the most matches first:
    doppelgangers, or a misplaced image."""
    rounds: tuple[RoundReport, ...]
    trials: tuple[TrialReport, ...]
    """What held-out tracks say of each choice of free intrinsics; empty without enough tracks."""
    held_out_before_px: float | None
    """Median error of held-out observations with predicted cameras and points fitted to them;
    None without enough tracks."""
    held_out_after_px: float | None
    """The same with cameras that were adjusted without those tracks."""
    inlier_ratio_before: float
    """Share of all observations within the error threshold, 0 to 1."""
    inlier_ratio_after: float
    misfit: float | None = None
    """Mean robust cost of all observations, in the returned model, those that it does not keep at
    their most; compares adjustments of the same photographs. None where nothing was refined."""
    mean_reprojection_error_px: float | None
    """Of the returned model, as pycolmap computes it; None without points."""
    focal_before_px: float | None
    """Median over the images."""
    focal_after_px: float | None
    seconds: float
    rig: str = ""
    """Whether the cameras of known rigs are held together, or why not; empty: none is known."""

    @property
    def num_refined(self) -> int:
        """Number of images whose pose was refined."""
        return sum(image.status == "refined" for image in self.images)
