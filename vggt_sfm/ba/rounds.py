"""The schedule: from a rough start to all tracks, with a tightening loss."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vggt_sfm._checks import Bool
from vggt_sfm.ba.bundle import Bundle, measure
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.ba.gauge import normalize
from vggt_sfm.ba.priors import make_priors
from vggt_sfm.ba.report import RoundReport
from vggt_sfm.ba.selection import (
    balanced_points,
    good_observations,
    lift_points,
    with_two_views,
)
from vggt_sfm.ba.solve import DENSE_LIMIT, Round, solve

# Loss scales in px at the reference width, from nearly least squares to nearly inliers only.
# Focal lengths wait until poses are roughly right, or they would absorb their errors. Early solves
# stop soon: the next one has another cost anyway.
_EARLY_ROUNDS = (
    Round(name="roughest", loss_px=100.0, max_iterations=40, tolerance=1e-5),
    Round(name="rougher", loss_px=50.0, max_iterations=40, tolerance=1e-5),
    Round(name="rough", loss_px=20.0, max_iterations=40, tolerance=1e-5),
    Round(name="coarse", loss_px=10.0, max_iterations=40, tolerance=1e-5),
    Round(name="focal", loss_px=5.0, max_iterations=40, tolerance=1e-5, refine_focal=True),
    Round(name="tight", loss_px=1.5, max_iterations=40, tolerance=1e-5, refine_focal=True),
)
# Where to enter the early rounds. A wide loss reaches farther and is more easily led astray, and
# the entries rarely fail together: on real photos with starts 40 degrees off, the first alone
# solved 26 of 32, all three 31. The others are tried only where the first leaves misfits.
_ENTRIES = (2, 1, 0)
# Misfits: a share of fitting observations below this over all, or in an image below this part of
# the median image's share.
_GOOD_SHARE = 0.8
_GOOD_IMAGE = 0.6
_POINTS_ROUND = Round(name="points", loss_px=1.5, max_iterations=10, refine_poses=False)
_LAST_ROUND = Round(
    name="all",
    loss_px=1.0,
    max_iterations=60,
    refine_focal=True,
    refine_principal_point=True,
    refine_distortion=True,
)
# Tracks are never more exact than this, px at the reference width.
_LEAST_NOISE_PX = 0.05


class Rounds:
    """The running state of one adjustment."""

    def __init__(
        self,
        seed: Bundle,
        candidates: Bool,
        px: float,
        config: BundleConfig,
        on_iteration: Callable[[], None],
    ) -> None:
        """Prepare to adjust a seed.

        Args:
            seed: The start, finite where ``candidates`` lead.
            candidates: (M,) observations of the images to adjust, two or more a point.
            px: Image pixels a pixel at the reference width.
            config: Options.
            on_iteration: Called after each iteration.
        """
        images: Bool = np.bincount(seed.image_of[candidates], minlength=len(seed.names)) > 0
        points: Bool = np.bincount(seed.point_of[candidates], minlength=len(seed.xyz)) > 0
        self._config = config
        self._px = px
        self._on_iteration = on_iteration
        self._candidates = candidates
        self._num_images = int(images.sum())
        self._seed = normalize(seed, images, points)
        self._deadline = time.monotonic() + (config.max_seconds or np.inf)
        self._priors = make_priors(self._seed, candidates, px, poses=config.pose_prior)
        self.bundle = self._seed
        """The current state, in a world of its own."""
        self.reports: list[RoundReport] = []

    def run(self) -> Bool:
        """Adjust; return the (M,) observations that are good in the end."""
        early = balanced_points(
            self.bundle, self._candidates, self._config.early_points or len(self.bundle.xyz)
        )
        active = self._candidates & early[self.bundle.point_of]
        attempts: list[tuple[int, Bundle]] = []
        for entry in _ENTRIES:
            self.bundle = self._seed
            for step in _EARLY_ROUNDS[entry:]:
                self._solve(step, active & self._in_front())
            fits = active & self._fits()
            attempts.append((int(fits.sum()), self.bundle))
            if not self._leaves_misfits(active, fits):
                break
        self.bundle = max(attempts, key=lambda attempt: attempt[0])[1]
        late = self._candidates & ~early[self.bundle.point_of]
        if late.any():
            self.bundle = lift_points(self.bundle, self._seed, self._candidates, early)
            self._solve(_POINTS_ROUND, late & self._in_front())
        self._solve(replace(_LAST_ROUND, loss_px=self._config.loss_px), self._good())
        return self._good()

    def _solve(self, step: Round, active: Bool) -> None:
        """Solve one round, as far as the configuration, the scene and the time allow."""
        config = self._config
        active = with_two_views(self.bundle, active)
        remaining = self._deadline - time.monotonic()
        if not active.any() or remaining <= 0:
            return
        options = replace(
            step,
            loss_px=step.loss_px * self._px,
            # Two views fix a relative pose and leave the focal length to the noise.
            refine_focal=step.refine_focal and config.refine_focal and self._num_images >= 3,
            refine_principal_point=step.refine_principal_point and config.refine_principal_point,
            refine_distortion=step.refine_distortion and config.refine_distortion,
            threads=self._threads(),
            max_seconds=remaining if np.isfinite(remaining) else None,
        )
        # Priors weigh against the noise of the tracks, as far as it is known at this point.
        noise_px = min(float(np.median(measure(self.bundle)[0][active])), self._px)
        priors = replace(self._priors, noise_px=max(noise_px, _LEAST_NOISE_PX * self._px))
        self.bundle, report = solve(self.bundle, active, options, priors, self._on_iteration)
        self.reports.append(report)

    def _threads(self) -> int:
        if self._config.threads is not None:
            return self._config.threads or os.cpu_count() or 1
        return 1 if self._num_images < DENSE_LIMIT else os.cpu_count() or 1

    def _in_front(self) -> Bool:
        """Observations with a projection: behind a camera COLMAP's residual is a constant 0."""
        return np.asarray(np.isfinite(measure(self.bundle)[0]))

    def _fits(self) -> Bool:
        limit_px = self._config.max_error_px * self._px
        return np.asarray(measure(self.bundle)[0] <= limit_px)

    def _leaves_misfits(self, active: Bool, fits: Bool) -> bool:
        of_image = self._seed.image_of
        total = np.bincount(of_image[active])
        seen = total > 0
        share = np.bincount(of_image[fits], minlength=len(total))[seen] / total[seen]
        return bool(
            fits.sum() < _GOOD_SHARE * active.sum()
            or share.min(initial=1.0) < _GOOD_IMAGE * np.median(share)
        )

    def _good(self) -> Bool:
        return good_observations(
            self.bundle,
            measure(self.bundle)[0],
            self._candidates,
            self._config.max_error_px * self._px,
            self._config.min_angle_deg,
        )
