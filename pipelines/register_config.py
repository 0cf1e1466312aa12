"""Options of registering photographs, one section a step."""

from __future__ import annotations

from dataclasses import dataclass, field

from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.localizing.config import LocalizeConfig
from vggt_sfm.pipelines.config import IngestConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterConfig:
    """All options of registering photographs."""

    localize: LocalizeConfig = field(default_factory=LocalizeConfig)
    adjust: BundleConfig = field(default_factory=BundleConfig)
    ba: bool = False
    """Adjust the extended model, which moves its old part, too."""
    every: int | None = None
    """Take exactly every Nth frame of a video, and every Nth photo."""
    max_frames: int = IngestConfig().max_frames
    """Most frames to take from each video."""

    def __post_init__(self) -> None:
        self.choice()  # raises what it raises

    def choice(self) -> IngestConfig:
        """Return which files are taken, as a run has it."""
        return IngestConfig(every=self.every, max_frames=self.max_frames)
