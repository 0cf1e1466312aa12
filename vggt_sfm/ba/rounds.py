"""The schedule: from a rough start to all tracks, with a tightening loss and by evidence."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vggt_sfm._checks import Bool
from vggt_sfm.ba.bundle import Bundle, measure
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.ba.distortion import with_distortion
from vggt_sfm.ba.evidence import Choice, Verdict, hold_out
from vggt_sfm.ba.find_rigs import find_rigs, hold
from vggt_sfm.ba.gauge import align, unit_size
from vggt_sfm.ba.knowledge import Knowledge
from vggt_sfm.ba.points import fit_points
from vggt_sfm.ba.priors import make_priors, moved
from vggt_sfm.ba.relift import lift_points
from vggt_sfm.ba.report import RoundReport
from vggt_sfm.ba.schedule import (
    ALL_ROUND,
    EARLY_ROUNDS,
    ENTRIES,
    GOOD_IMAGE,
    GOOD_SHARE,
    LAST_ROUND,
    NEAR_ROUND,
    NEAR_SHARE,
    POINT_LOSSES_PX,
    POINT_STEPS,
    POINTS_ROUND,
    RIG_ROUND,
)
from vggt_sfm.ba.selection import (
    balanced_points,
    good_observations,
)
from vggt_sfm.ba.solve import Round
from vggt_sfm.ba.solver import LEAST_NOISE_PX, Solver

# Of the noise, as far as it is known then: a loss this narrow listens to the exact observations
# most, and freed intrinsics follow those instead of the coarse ones.
_LAST_LOSS = 1.2
_EVIDENCE_LOSS = 3.0
_LAST_TRIES = 3
_GREW = 1.01
_MEDIAN_OF_RAYLEIGH = 1.1774  # of the length of 2D errors, in standard deviations
_LEAST_IMAGES_A_CAMERA = 5  # for a principal point
_FIRM = (0.03, 0.1, 0.3)  # how much more than usual a prediction may be trusted
_FEW_POINTS = 1000  # where that is tried: with more, predicted poses do not matter
# Of the observations that fit free images, rigs must keep this share, or they are not those.
_RIGID_SHARE = 0.8


class Rounds:
    """The running state of one adjustment."""

    def __init__(
        self,
        seed: Bundle,
        candidates: Bool,
        px: float,
        config: BundleConfig,
        knowledge: Knowledge,
        on_iteration: Callable[[], None],
    ) -> None:
        """Prepare to adjust a seed.

        Args:
            seed: The start, finite where ``candidates`` lead.
            candidates: (M,) observations of the images to adjust, two or more a point.
            px: Image pixels a pixel at the reference width.
            config: Options.
            knowledge: What is known of cameras, in the world of the seed.
            on_iteration: Called after each iteration.
        """
        images: Bool = np.bincount(seed.image_of[candidates], minlength=len(seed.names)) > 0
        points: Bool = np.bincount(seed.point_of[candidates], minlength=len(seed.xyz)) > 0
        self._config = config
        self._px = px
        self._candidates = candidates
        self._num_images = int(images.sum())
        self._start = seed
        self._unit = unit_size(seed, images, points)
        self._seed = with_distortion(self._unit.move(seed), config, knowledge)
        known = moved(knowledge, self._unit)
        self._told = np.array([name in known.poses for name in seed.names], bool)
        self._priors = make_priors(self._seed, candidates, px, config, known)
        self._solver = Solver(
            config=config,
            px=px,
            priors=self._priors,
            told=self._told,
            num_images=self._num_images,
            deadline=time.monotonic() + (config.max_seconds or np.inf),
            on_iteration=on_iteration,
        )
        self._known_rigs = known.rigs
        self.rig = ""
        """What became of known rigs; empty where none is known."""
        self.bundle = self._seed
        """The current state, in a world of its own."""
        self.reports: list[RoundReport] = []
        self._choice = Choice()
        self.verdict: Verdict | None = None
        """What held-out tracks say; None where there were too few, or no time."""
        self.noise_px = px
        """Standard deviation of the good observations, image px."""

    def run(self) -> Bool:
        """Adjust; return the (M,) observations that are good in the end."""
        early = balanced_points(
            self.bundle, self._candidates, self._config.early_points or len(self.bundle.xyz)
        )
        active = self._candidates & early[self.bundle.point_of]
        if not self._starts_near(active):
            self._solve_early(active)
        late = self._candidates & ~early[self.bundle.point_of]
        if late.any():
            self.bundle = lift_points(self.bundle, self._seed, self._candidates, early)
            self._solve(POINTS_ROUND, late & self._in_front())
        self._solve(ALL_ROUND, self._good())
        if self._known_rigs:
            self.rig = self._hold_rigs()
        good = self._good()
        self._set_noise(good)
        self._choice = choice = self._choose(good)
        loss_px = self._config.loss_px
        if loss_px is None:
            loss_px = _LAST_LOSS * self.noise_px / self._px
        last = replace(
            LAST_ROUND,
            loss_px=loss_px,
            refine_distortion=choice.distortion,
            refine_principal_point=choice.principal_point,
        )
        for _ in range(_LAST_TRIES):
            used = good
            self._solve(last, used, choice.prior_scale)
            self._bring_back_lost_points(used)
            good = self._good()
            if good.sum() <= _GREW * used.sum():
                break  # else freed intrinsics won observations that are worth another solve
        self._set_noise(good)
        return good

    def in_the_seeds_world(self, refined: Bool, good: Bool) -> Bundle:
        """Return the current state in the world of the seed.

        Known poses say where that is; otherwise it is where the adjusted images have been.

        Raises:
            ValueError: If the images stand too close together for that.
        """
        if (self._told & refined).any():
            return self._unit.inverse().move(self.bundle)
        return align(self.bundle, self._start, refined, good)

    @property
    def last_round(self) -> Round:
        """What was free in the last round, for a covariance."""
        return replace(
            LAST_ROUND,
            loss_px=_EVIDENCE_LOSS * self.noise_px,
            refine_focal=self._solver.refines_focal,
            refine_distortion=self._choice.distortion,
            refine_principal_point=self._choice.principal_point,
        )

    def _starts_near(self, active: Bool) -> bool:
        """Solve from points fitted to the predicted cameras; say whether no wide loss is needed.

        Wide losses were seen to turn good predictions of narrow arcs inside out.
        """
        self._fit_points(active)
        fits = active & self._fits()
        if fits.sum() < NEAR_SHARE * active.sum():
            return False
        if self._leaves_misfits(active, fits):
            self._solve(NEAR_ROUND, fits)
            fits = active & self._fits()
        return not self._leaves_misfits(active, fits)

    def _solve_early(self, active: Bool) -> None:
        """Solve on a balanced part of the tracks, from several entries where one is not enough."""
        attempts: list[tuple[int, Bundle]] = []
        for entry in ENTRIES:
            self.bundle = self._seed
            for step in EARLY_ROUNDS[entry:]:
                self._solve(step, active & self._in_front())
            fits = active & self._fits()
            attempts.append((int(fits.sum()), self.bundle))
            if not self._leaves_misfits(active, fits):
                break
        self.bundle = max(attempts, key=lambda attempt: attempt[0])[1]

    def _hold_rigs(self) -> str:
        """Hold the cameras of rigs together, unless the tracks contradict; say what was done."""
        if self._solver.time_is_up:
            return "not held: the time was up"
        free, good = self.bundle, self._good()
        rigs = find_rigs(free, self._known_rigs, good)
        if isinstance(rigs, str):
            return f"not held: {rigs}"
        limit_px = self._config.max_error_px * self._px
        held = self._priors.held_poses
        self.bundle = hold(free, rigs, limit_px, self._candidates, held)
        self._fit_points(good)
        for step in (RIG_ROUND, ALL_ROUND):
            self._solve(step, good & self._in_front())
        kept, before = int(self._good().sum()), int(good.sum())
        if kept < _RIGID_SHARE * before:
            self.bundle = free
            return f"not held: {kept} of {before} observations fit rigid cameras"
        cameras, moments = len(rigs.rig_of), int(rigs.moment_of.max()) + 1
        return f"held: {cameras} cameras at {moments} moments"

    def _choose(self, good: Bool) -> Choice:
        """Let held-out tracks decide what is free in the end."""
        config = self._config
        asked = Choice(
            distortion=config.refine_distortion == "yes",
            principal_point=config.refine_principal_point == "yes",
        )
        if not good.any() or self._solver.time_is_up:
            return asked
        choices = [asked]
        if len(np.unique(self.bundle.point_of[good])) < _FEW_POINTS:
            predicted = np.isfinite(self._priors.rotation_sigma_rad) & ~self._told
            firm = _FIRM if predicted.any() else ()
            choices = [*(asked._replace(prior_scale=s) for s in firm), asked]
        free = [asked]
        variable = not all(map(self._priors.holds_camera, range(len(self.bundle.cameras))))
        if config.refine_distortion == "auto" and self._num_images >= 3 and variable:
            free += [choice._replace(distortion=True) for choice in free]
        if config.refine_principal_point == "auto" and variable and self._images_a_camera(good):
            free += [choice._replace(principal_point=True) for choice in free]
        choices += free[1:]
        self.verdict = hold_out(
            self.bundle,
            self._seed,
            good,
            choices,
            self.noise_px,
            _EVIDENCE_LOSS * self.noise_px,
            self._quiet_solve,
        )
        return self.verdict.choice if self.verdict else asked

    def _images_a_camera(self, good: Bool) -> bool:
        """Say whether every camera took enough images to tell its principal point."""
        images = np.unique(self.bundle.image_of[good])
        counts = np.bincount(self.bundle.camera_of[images])
        return bool(counts[counts > 0].min() >= _LEAST_IMAGES_A_CAMERA)

    def _set_noise(self, good: Bool) -> None:
        if good.any():
            error = float(np.median(measure(self.bundle)[0][good]))
            self.noise_px = max(error / _MEDIAN_OF_RAYLEIGH, LEAST_NOISE_PX * self._px)

    def _solve(self, step: Round, active: Bool, prior_scale: float = 1.0) -> None:
        """Solve one round and keep its result."""
        found = self._solver(
            self.bundle, active, replace(step, loss_px=step.loss_px * self._px), prior_scale
        )
        if found is not None:
            self.bundle, report = found
            self.reports.append(report)

    def _quiet_solve(self, bundle: Bundle, active: Bool, step: Round, prior_scale: float) -> Bundle:
        """Solve beside the schedule."""
        found = self._solver(bundle, active, step, prior_scale)
        return bundle if found is None else found[0]

    def _bring_back_lost_points(self, used: Bool) -> None:
        """Place the points that took no part in a solve, whose cameras have left them behind."""
        took_part = np.bincount(self.bundle.point_of[used], minlength=len(self.bundle.xyz)) > 0
        lost = self._candidates & ~took_part[self.bundle.point_of]
        self.bundle = lift_points(self.bundle, self._seed, self._candidates, took_part)
        self._fit_points(lost)

    def _fit_points(self, active: Bool) -> None:
        for scale_px in POINT_LOSSES_PX:
            self.bundle = fit_points(self.bundle, active, scale_px * self._px, POINT_STEPS)

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
            fits.sum() < GOOD_SHARE * active.sum()
            or share.min(initial=1.0) < GOOD_IMAGE * np.median(share)
        )

    def _good(self) -> Bool:
        return good_observations(
            self.bundle,
            measure(self.bundle)[0],
            self._candidates,
            self._config.max_error_px * self._px,
            self._config.min_angle_deg,
        )
