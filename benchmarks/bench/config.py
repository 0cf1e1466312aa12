"""Options of a benchmark; the command line is made from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vggt_sfm.benchmarks.bench.modes import MODES


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchConfig:
    """What of a data set is measured, and how."""

    modes: str = "ff,ba,incremental,global"
    """What is measured, with commas. ff: the prediction; ba: the prediction, adjusted; incremental
    and global: pycolmap's mappers; matching (a default of scannet1500, for which alone it is):
    poses of pairs from our matches and the true intrinsics."""
    limit: int | None = None
    """Most bags to measure, some of all kinds."""
    fast: bool = False
    """Ten bags of each group, and ten photographs of a bag where their number is open."""
    seed: int = 0
    """Of which photographs are drawn, where the rules leave it to chance."""
    manifest: Path | None = None
    """A list of photographs from another run, its manifest.json."""
    skip_missing: bool = False
    """Leave out bags of the list whose photographs are not there."""
    threads: int = 1
    """Of everything that is measured, 0 for all cores; results repeat exactly with 1."""
    timeout_min: float | None = None
    """Minutes after which one mode of one bag has failed."""
    retry: bool = False
    """Measure again what has failed."""
    against: Path | None = None
    """Folder of an earlier run to compare with, on the bags that both have."""
    gate: float | None = None
    """With --against: exit with 7 where ours fell by more than so many points."""

    def __post_init__(self) -> None:
        unknown = [mode for mode in self.chosen_modes if mode not in MODES]
        if unknown:
            raise ValueError(f"modes: {unknown[0]!r} is not one of {', '.join(MODES)}")
        if min(self.threads, self.seed) < 0 or (self.limit or 1) < 1:
            raise ValueError("threads and seed must be >= 0, limit >= 1")
        if (self.timeout_min or 1.0) <= 0 or (self.gate or 0.0) < 0:
            raise ValueError("timeout_min must be positive, gate >= 0")
        if self.gate is not None and self.against is None:
            raise ValueError("--gate needs --against, the folder of an earlier run")

    @property
    def chosen_modes(self) -> list[str]:
        """The modes one by one."""
        return [mode.strip() for mode in self.modes.split(",")]
