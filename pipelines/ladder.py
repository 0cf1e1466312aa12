"""What the rungs of a rescue stand on, and what they report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vggt_sfm.ba.knowledge import Knowledge
from vggt_sfm.ba.trouble import Trouble, trouble
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.run import Run
from vggt_sfm.pipelines.stage import Artifact
from vggt_sfm.pipelines.stages import Adjusted
from vggt_sfm.scene import Predictions, Scene, Tracks

if TYPE_CHECKING:
    import pycolmap

    from vggt_sfm.inference import Predictor

# Of two ways that refine as many images, the better one has less than this of the other's misfit.
_BETTER = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class RungReport:
    """One other way that was tried."""

    name: str
    refined: int = 0
    """Images that the adjustment refined."""
    observations: int = 0
    """That fit the adjusted model."""
    misfit: float | None = None
    """Of all observations; None where the adjustment was rejected."""
    better: bool = False
    """Whether it took the place of what there was."""
    reason: str | None = None
    """Why there was nothing to adjust."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueReport:
    """Why other ways were tried, and what came of them."""

    trouble: str
    images: tuple[str, ...]
    """Images that were misplaced, or that nothing placed."""
    rungs: tuple[RungReport, ...]
    remaining: str
    """What is wrong with the best of them; empty if nothing is."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Start:
    """What an adjustment starts from."""

    seed: pycolmap.Reconstruction
    tracks: Artifact[Tracks]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Attempt:
    """A start and what its adjustment made of it."""

    start: Start
    adjusted: Adjusted

    @property
    def trouble(self) -> Trouble:
        """What is wrong with it."""
        return trouble(self.adjusted.report)

    def is_better_than(self, other: Attempt) -> bool:
        """Compare by evidence: the images that are refined, then how well everything fits."""
        mine, others = self.adjusted.report, other.adjusted.report
        if mine.num_refined != others.num_refined:
            return mine.num_refined > others.num_refined
        if mine.misfit is None or others.misfit is None:
            return mine.misfit is not None
        return mine.misfit < _BETTER * others.misfit


@dataclass(slots=True, kw_only=True)
class Ladder:
    """What all rungs need."""

    run: Run
    config: ReconstructConfig
    scene: Artifact[Scene]
    predictor: Artifact[Predictor]
    predictions: Artifact[Predictions]
    knowledge: Artifact[Knowledge]
    plain: Attempt
    """What the prediction gave."""
    best: Attempt
    """What the next rung stands on."""
    closer: Start | None = None
    """The prediction with more matches, once these have been looked for."""
    closer_unconnected: frozenset[str] = frozenset()
    """Images that these do not tie to the others either."""
    reports: list[RungReport] = field(default_factory=list)

    @property
    def misplaced(self) -> list[str]:
        """Images that are in a wrong place though tracks tie them to the others."""
        found = self.best.trouble
        alone = set(found.unconnected)
        if self.closer is not None:
            alone &= self.closer_unconnected
        return [name for name in found.images if name not in alone]
