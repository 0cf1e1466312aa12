"""What a report is made from and says: plain values, of which its JSON consists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vggt_sfm.ba.report import BundleReport
from vggt_sfm.scene import SkippedFile

Level = Literal["good", "care", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """One photograph in the report."""

    name: str
    status: str
    """``refined``, ``registered``, ``predicted only`` or ``rejected``."""
    reason: str | None = None
    """Why it was not refined."""
    observations: int = 0
    """Of points in the model."""
    median_error_px: float | None = None
    """Of the reprojection; None without observations."""
    large_error_px: float | None = None
    """Nine of ten observations are below it."""
    coverage: float = 0.0
    """Share of an 8 x 8 grid over the photograph that has observations, 0 to 1."""
    focal_px: float | None = None
    predicted_focal_px: float | None = None
    """By the network, for this photograph alone."""
    rotation_sigma_deg: float | None = None
    translation_sigma: float | None = None
    """Scene units."""
    links: int = 0
    """Photographs with which it shares enough points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many values fall between edges."""

    edges: tuple[float, ...]
    """One more than counts; the last bin also holds what is larger."""
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a model holds."""

    points: int
    observations: int
    mean_error_px: float | None
    """Over the points, each with the mean of its observations, as pycolmap has it."""
    median_error_px: float | None
    mean_track_length: float | None
    median_angle_deg: float | None
    """Largest angle between two rays of a point, its median over the points."""
    radial_bias_px: float | None = None
    """By how much observations lie farther from the middle than projections, or nearer, in the ring
    around it where that is largest; None with few observations."""
    depth_in_baselines: float | None
    """Median distance from photographs to their points, in units of the cameras' extent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a verdict rests on."""

    level: Level
    words: str
    rule: str
    """When this is said, with the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the result can be used."""

    level: Level
    words: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a run says about itself; None and empty where it did not get there."""

    status: str
    line: str
    ok: bool
    reason: str | None = None
    bundle: BundleReport | None = None
    rescue: dict[str, Any] | None = None  # Any: JSON, as in run.json
    skipped: tuple[SkippedFile, ...] = ()
    remarks: tuple[str, ...] = ()
    stages: tuple[dict[str, Any], ...] = ()  # Any: JSON, as in run.json
    scale: dict[str, Any] | None = None  # Any: JSON, what the run says about metric scale
    network: dict[str, Any] | None = None  # Any: JSON
    versions: dict[str, str]
    config: dict[str, Any]  # Any: JSON, a valid --config


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The content of ``report.json``."""

    schema: int = 1
    title: str
    verdict: Verdict
    run: RunFacts
    images: tuple[ImageFacts, ...] = ()
    before: ModelFacts | None = None
    """The model before the adjustment."""
    after: ModelFacts | None = None
    """The model that was written."""
    track_lengths: Histogram | None = None
    errors_px: Histogram | None = None
    shared_points: tuple[tuple[int, ...], ...] = ()
    """How many points each pair of images shares, in the order of ``images``; empty with more than
    some hundred images."""
    unit: str = "scene"
    """Of lengths."""
