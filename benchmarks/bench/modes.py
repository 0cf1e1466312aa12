"""Ways of getting cameras, and what is asked and told of one; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vggt_sfm._checks import Float64

FEED_FORWARD, ADJUSTED, MATCHING = "ff", "ba", "matching"
INCREMENTAL, GLOBAL = "incremental", "global"
OURS = (FEED_FORWARD, ADJUSTED, MATCHING)
MODES = (*OURS, INCREMENTAL, GLOBAL)
TITLES = {
    FEED_FORWARD: "feed-forward",
    ADJUSTED: "+BA",
    MATCHING: "as a matcher",
    INCREMENTAL: "pycolmap incremental",
    GLOBAL: "pycolmap global",
}
"""Of tables, by mode."""
TRIALS = 5
"""Of an estimation from matches."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Job:
    """What is to be measured."""

    bag: str
    mode: str
    photographs: tuple[Path, ...]
    """S files, the reference first."""
    intrinsics: Float64 | None = None  # (S, 3, 3) px, for matching, which is given them


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Measured:
    """What came of it."""

    cam_from_world: Float64  # (T, S, 3, 4) of T trials, mostly one; NaN: no camera
    steps: dict[str, float]
    """Seconds by step; of those that an earlier mode of the bag had done, its seconds."""
    seconds: float
    """As if no earlier mode had done anything."""
    spent_seconds: float
    """Of this call."""
    peak_memory_mb: float | None
    gpu_peak_mb: float | None
    remark: str = ""
