"""Solves as far as options, the scene and the time allow, with priors that weigh as they should."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vggt_sfm._checks import Bool
from vggt_sfm.ba.bundle import Bundle, measure
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.ba.report import RoundReport
from vggt_sfm.ba.selection import with_two_views
from vggt_sfm.ba.solve import DENSE_LIMIT, Priors, Round, solve

LEAST_NOISE_PX = 0.05
"""Tracks are never more exact than this, px at the reference width."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Solver:
    """What all solves of an adjustment have in common."""

    config: BundleConfig
    px: float
    """Image pixels a pixel at the reference width."""
    priors: Priors
    told: Bool  # (S,) images of whose pose a user knows something
    num_images: int
    deadline: float
    """On ``time.monotonic``'s clock."""
    on_iteration: Callable[[], None]

    @property
    def time_is_up(self) -> bool:
        """Whether nothing more is solved."""
        return time.monotonic() >= self.deadline

    @property
    def refines_focal(self) -> bool:
        """Whether focal lengths may change."""
        # Two views fix a relative pose and leave the focal length to the noise.
        return self.config.refine_focal and self.num_images >= 3

    def __call__(
        self, bundle: Bundle, active: Bool, step: Round, prior_scale: float
    ) -> tuple[Bundle, RoundReport] | None:
        """Return the solved bundle and the figures of the solve; None where nothing can be solved.

        Args:
            bundle: The start.
            active: (M,) observations to use.
            step: What may move; its loss in image px.
            prior_scale: Times the sigmas of predicted poses.
        """
        active = with_two_views(bundle, active)
        remaining = self.deadline - time.monotonic()
        if not active.any() or remaining <= 0:
            return None
        options = replace(
            step,
            refine_focal=step.refine_focal and self.refines_focal,
            threads=self._threads(),
            max_seconds=remaining if np.isfinite(remaining) else None,
        )
        # Priors weigh against the noise of the tracks, as far as it is known at this point.
        noise_px = min(float(np.median(measure(bundle)[0][active])), self.px)
        trust = np.where(self.told, 1.0, prior_scale)  # what is known is no prediction
        priors = replace(
            self.priors,
            noise_px=max(noise_px, LEAST_NOISE_PX * self.px),
            rotation_sigma_rad=self.priors.rotation_sigma_rad * trust,
            position_sigma=self.priors.position_sigma * trust,
        )
        return solve(bundle, active, options, priors, self.on_iteration)

    def _threads(self) -> int:
        if self.config.threads is not None:
            return self.config.threads or os.cpu_count() or 1
        return 1 if self.num_images < DENSE_LIMIT else os.cpu_count() or 1
