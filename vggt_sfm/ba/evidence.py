"""Held-out tracks: what they say about cameras that were adjusted without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vggt_sfm._checks import Bool, Float64
from vggt_sfm.ba.bundle import Bundle, measure
from vggt_sfm.ba.gauge import align
from vggt_sfm.ba.points import fit_points
from vggt_sfm.ba.report import TrialReport
from vggt_sfm.ba.selection import balanced_points, with_two_views
from vggt_sfm.ba.solve import Round

# How many tracks take part: in all, and of each image. More say the same at a higher price.
_TRACKS = 5000
_TRACKS_AN_IMAGE = (80, 400)
_LEAST_TRACKS = 24  # fewer say nothing
_SEED = 0  # of the folds
_MANY_TRACKS = 600  # from here on two folds; with few tracks, four, so that three quarters remain
# Points of tracks that cameras were not adjusted to start roughly: from far first, then exactly.
_FAR = 20.0  # times the noise
_ITERATIONS = 15
_TOLERANCE = 1e-4
_POINT_STEPS = 6
_WORST = 30.0  # times the noise: how much one observation can say

Solve = Callable[[Bundle, Bool, Round, float], Bundle]
"""Solves a bundle on (M,) active observations; the last value scales the pose priors' sigmas."""


class Choice(NamedTuple):
    """What the last rounds may move, and how far predicted poses are trusted."""

    distortion: bool = False
    principal_point: bool = False
    prior_scale: float = 1.0
    """Times the sigmas of the pose priors."""

    @property
    def name(self) -> str:
        """The choice in words."""
        words = [
            "distortion" if self.distortion else "",
            "principal point" if self.principal_point else "",
            "firm prediction" if self.prior_scale < 1 else "",
        ]
        return " and ".join(word for word in words if word) or "nothing more"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Verdict:
    """What the held-out tracks say."""

    choice: Choice
    trials: tuple[TrialReport, ...]
    before_px: float
    """Median error of held-out observations with predicted cameras and points fitted to them."""
    after_px: float
    """The same with adjusted cameras."""
    gain: float
    """By how much adjusted cameras explain the held-out tracks better; negative: worse."""


def hold_out(
    bundle: Bundle,
    seed: Bundle,
    good: Bool,
    choices: Sequence[Choice],
    noise_px: float,
    loss_px: float,
    solve: Solve,
) -> Verdict | None:
    """Adjust to a part of the tracks, look at the others, and choose what explains those best.

    The tracks are dealt into folds. Cameras are adjusted without one fold at a time; the points
    of that fold are then fitted to these cameras, which did not see them. Every track so has a
    cost for every choice. The simplest choice counts whose cost is within one standard error of
    the best one.

    Args:
        bundle: Adjusted to all tracks, where every trial starts from.
        seed: The prediction, in any world.
        good: (M,) observations that fit ``bundle``.
        choices: What to try, the simplest first.
        noise_px: Standard deviation of the good observations, image px.
        loss_px: Scale of the Cauchy loss, image px.
        solve: Runs one solve, with focal lengths free where they may be.

    Returns:
        The verdict, or None where there are too few tracks for one.

    Source: the rule of one standard error, Breiman et al., "Classification and Regression Trees",
    1984, section 3.4.3.
    """
    per_image = int(np.clip(_TRACKS / max(len(bundle.names), 1), *_TRACKS_AN_IMAGE))
    chosen = balanced_points(bundle, good, per_image)
    active = good & chosen[bundle.point_of]
    tracks = np.unique(bundle.point_of[active])
    if len(tracks) < _LEAST_TRACKS:
        return None
    count = 2 if len(tracks) >= _MANY_TRACKS else 4
    folds = np.full(len(bundle.xyz), -1)
    folds[tracks] = np.random.default_rng(_SEED).permutation(len(tracks)) % count
    costs = np.zeros((len(choices) + 1, len(bundle.xyz)))  # the last row: the prediction
    errors: list[list[Float64]] = [[] for _ in range(len(choices) + 1)]
    for fold in range(count):
        test = active & (folds == fold)[bundle.point_of]
        train = with_two_views(bundle, active & ~test)
        steps = [(_step(choice, loss_px), choice.prior_scale) for choice in choices]
        first = solve(bundle, train, *steps[0])
        # the others start from the simplest, as they differ little from it
        adjusted = [first, *(solve(first, train, *step) for step in steps[1:])]
        tried = [_back(cameras, bundle, train) for cameras in adjusted]
        for n, cameras in enumerate([*tried, seed]):
            cost, error = _cost(cameras, test, noise_px, loss_px)
            costs[n] += cost
            errors[n].append(error)
    best = int(costs[:-1].sum(axis=1).argmin())
    simplest = next(
        n for n in range(len(choices)) if _excess(costs[n], costs[best]) <= 0 or n == best
    )
    trials = tuple(
        TrialReport(
            name=choice.name,
            gain=float((costs[0] - costs[n]).sum()),
            standard_error=_standard_error(costs[0] - costs[n]),
            chosen=n == simplest,
        )
        for n, choice in enumerate(choices)
    )
    return Verdict(
        choice=choices[simplest],
        trials=trials,
        before_px=float(np.median(np.concatenate(errors[-1]))),
        after_px=float(np.median(np.concatenate(errors[simplest]))),
        gain=float((costs[-1] - costs[simplest]).sum()),
    )


def _step(choice: Choice, loss_px: float) -> Round:
    return Round(
        name="without a fold",
        loss_px=loss_px,
        max_iterations=_ITERATIONS,
        refine_focal=True,
        refine_distortion=choice.distortion,
        refine_principal_point=choice.principal_point,
        tolerance=_TOLERANCE,
    )


def _back(adjusted: Bundle, bundle: Bundle, train: Bool) -> Bundle:
    """Put adjusted cameras into the world of the start, with its points."""
    images = np.bincount(bundle.image_of[train], minlength=len(bundle.names)) > 0
    return replace(align(adjusted, bundle, images, train), xyz=bundle.xyz)


def _cost(cameras: Bundle, test: Bool, noise_px: float, loss_px: float) -> tuple[Float64, Float64]:
    """Fit the held-out points to fixed cameras; return (N,) costs and the errors, px."""
    fitted = cameras
    for scale in (_FAR * noise_px, loss_px):
        fitted = fit_points(fitted, test, scale, _POINT_STEPS)
    rows = np.flatnonzero(test)
    error = np.minimum(measure(fitted)[0][rows], _WORST * noise_px)
    cost = np.log1p(np.square(error / loss_px)) * np.square(loss_px / noise_px) / 2
    by_track = np.bincount(cameras.point_of[rows], cost, len(cameras.xyz)).astype(np.float64)
    return by_track, np.asarray(error)


def _standard_error(difference: Float64) -> float:
    return float(np.sqrt(np.square(difference).sum()))


def _excess(cost: Float64, best: Float64) -> float:
    """Return by how much a cost exceeds the best one beyond one standard error of both."""
    return float((cost - best).sum()) - _standard_error(cost - best)
