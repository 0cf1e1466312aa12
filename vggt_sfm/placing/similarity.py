"""The similarity from a model to given positions, robustly, and how well it is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import ndtr, stdtrit

from vggt_sfm._checks import Bool, Float64, check_finite, check_shape
from vggt_sfm.placing.candidates import Candidate, through_pairs, through_triples
from vggt_sfm.placing.least_squares import Normal, refine

Noise = Literal["given", "assumed", "unknown"]
"""What the sigmas of positions are: at least right, a guess that residuals correct, or only their
proportions."""

LEVEL_SIGMA_RAD = float(np.radians(10))
"""How far off the guessed vertical may be."""
_VAGUE_RAD = float(np.radians(15))  # a rotation less certain than this is not determined

_MEDIAN = 0.789  # of the mean of three squared normal numbers
_LIMIT = 6.0  # mean squares in variances: 1 of 2500 right positions is beyond it, of three axes
_MOST_STEPS = 20
_STARTS = 3


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Targets:
    """Where points of the model are known to be."""

    xyz: Float64  # (N, 3) metres; the third may be NaN: not known
    sigma: Float64  # (N, 3) metres, standard deviations
    noise: Noise = "given"  # what the sigmas are worth

    def __post_init__(self) -> None:
        dims = check_shape("Targets.xyz", self.xyz, "N 3")
        check_shape("Targets.sigma", self.sigma, "N 3", dims)
        check_finite("Targets.xyz", self.xyz[:, :2])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Fit:
    """``target ~ scale * rotation @ source + translation``."""

    scale: float
    rotation: Float64  # (3, 3)
    translation: Float64  # (3,) m
    inliers: Bool  # (N,)
    residual_m: Float64  # (N,) length of the offset along the known axes
    scale_sigma: float  # relative to the scale
    rotation_sigma_rad: float  # about the least certain axis
    leveled: bool  # whether the guessed vertical had a say


def fit_similarity(source: Float64, targets: Targets, up: Float64) -> Fit:
    """Fit a model to positions some of which may be wrong.

    Least trimmed squares from minimal solutions, then least squares over the positions that agree.
    Fewer than half of N - 2 may be wrong. Errors are taken to be independent of each other, which
    those of GPS in photographs taken within minutes are not quite.

    Args:
        source: (N, 3) points of the model, N >= 3.
        targets: Where they are.
        up: (3,) unit vector in the model, a guess of the vertical. It is used, with an uncertainty
            of 10 degrees, only where the positions do not fix the rotation, all being on a line or
            their heights unknown; then the third axis of the targets is up.

    Returns:
        The fit.

    Raises:
        ValueError: If there are fewer than 3 positions or they do not fix the scale.

    Source: Rousseeuw & Leroy, Robust Regression and Outlier Detection, 1987, chapters 4 and 5.
    """
    dims = check_shape("fit_similarity.source", source, "N 3")
    check_shape("fit_similarity.targets", targets.xyz, "N 3", dims)
    check_finite("fit_similarity.source", source)
    if dims["N"] < 3:
        raise ValueError(f"fit_similarity: 3 positions are needed, got {dims['N']}")
    # Coordinates of a survey can be thousands of kilometres, so differences come first
    source_mid, target_mid = source.mean(axis=0), np.zeros(3)
    target_mid[:2] = np.median(targets.xyz[:, :2], axis=0)
    height = targets.xyz[np.isfinite(targets.xyz[:, 2]), 2]
    target_mid[2] = np.median(height) if len(height) else 0.0
    problem = _Problem(source - source_mid, targets.xyz - target_mid, targets.sigma, targets.noise)
    fit = problem.solve(through_triples(problem.source, problem.target), None)
    if fit is None or fit.rotation_sigma_rad > _VAGUE_RAD:
        fit = problem.solve(through_pairs(problem.source, problem.target, up), up)
    if fit is None:
        raise ValueError("fit_similarity: positions coincide, so the scale is undefined")
    translation = fit.translation + target_mid - fit.scale * fit.rotation @ source_mid
    return replace(fit, translation=translation)


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    source: Float64
    target: Float64
    sigma: Float64
    noise: Noise

    def solve(self, candidates: list[Candidate], up: Float64 | None) -> Fit | None:
        """Return the best fit that grows out of the candidates; None if there are none."""
        kept = len(self.source) - self.most_wrong
        ranked = sorted(candidates, key=lambda one: np.sort(self.squares(one))[:kept].sum())
        grown = [self.concentrate(one, kept, up) for one in ranked[:_STARTS]]
        if not grown:
            return None
        best = min(grown, key=lambda one: np.sort(self.squares(one))[:kept].sum())
        return self.reweight(best, up)

    @property
    def most_wrong(self) -> int:
        """How many positions may be left out while the others still check each other."""
        return max((len(self.source) - 3) // 2, 0)

    def squares(self, one: Candidate) -> Float64:
        """Return each position's mean squared residual along the known axes, in variances."""
        scale, rotation, translation = one
        offset = (self.target - scale * self.source @ rotation.T - translation) / self.sigma
        known = np.isfinite(offset)
        squares = np.square(np.where(known, offset, 0.0)).sum(axis=1)
        return np.asarray(squares / known.sum(axis=1))

    def concentrate(self, one: Candidate, kept: int, up: Float64 | None) -> Candidate:
        """Fit to the positions that fit best, until these are the same."""
        before = None
        for _ in range(_MOST_STEPS):
            squares = self.squares(one)
            chosen = np.zeros(len(squares), bool)
            chosen[np.argsort(squares, kind="stable")[:kept]] = True
            if before is not None and (chosen == before).all():
                break
            before = chosen
            factor = self.at_least_given(float(np.median(squares)) / _MEDIAN)
            one, _ = self.fit_to(chosen, one, factor, up)
        return one

    def reweight(self, one: Candidate, up: Float64 | None) -> Fit:
        """Fit to all positions that agree, as far as their own noise lets them."""
        squares = self.squares(one)
        axes = np.isfinite(self.target).sum(axis=1)
        spare = max(int(axes.sum()) - 7, 1)
        factor = self.at_least_given((1 + 5 / spare) ** 2 * float(np.median(squares)) / _MEDIAN)
        chosen = np.zeros(len(squares), bool)
        for _ in range(_MOST_STEPS):
            before = chosen
            # Few residuals say little about their own size, as in the F distribution
            chosen = squares <= _LIMIT * (1 + 10 / spare) * factor
            worst = np.argsort(-squares, kind="stable")[: self.most_wrong]
            chosen[~np.isin(np.arange(len(chosen)), worst)] = True
            if (chosen == before).all():
                break
            one, normal = self.fit_to(chosen, one, factor, up)
            squares = self.squares(one)
            spare = self.degrees_of_freedom(chosen, up)
            factor = self.factor(float((squares * axes)[chosen].sum()), spare)
        one, normal = self.fit_to(chosen, one, factor, up)
        return self.described(one, chosen, normal, spare, up)

    def degrees_of_freedom(self, chosen: Bool, up: Float64 | None) -> int:
        known = np.isfinite(self.target[chosen])
        unknowns = 7 if known[:, 2].any() else 6
        return max(int(known.sum()) + (0 if up is None else 2) - unknowns, 1)

    def at_least_given(self, factor: float) -> float:
        return max(factor, 1.0 if self.noise == "given" else 1e-12)

    def factor(self, squares: float, spare: int) -> float:
        """Return by what the variances must be multiplied to explain the residuals."""
        if self.noise == "assumed":  # worth one residual
            return (1 + squares) / (1 + spare)
        return self.at_least_given(squares / spare)

    def fit_to(
        self, chosen: Bool, one: Candidate, factor: float, up: Float64 | None
    ) -> tuple[Candidate, Normal]:
        known = np.isfinite(self.target) & chosen[:, None]
        weight = np.where(known, 1 / (np.square(self.sigma) * factor), 0.0)
        level = None if up is None else (up, LEVEL_SIGMA_RAD)
        return refine(one, self.source, np.nan_to_num(self.target), weight, level)

    def described(
        self, one: Candidate, chosen: Bool, normal: Normal, spare: int, up: Float64 | None
    ) -> Fit:
        scale, rotation, translation = one
        covariance = normal.covariance()
        scale_sigma = float(np.sqrt(covariance[0, 0]))
        if self.noise != "given":
            # So that the truth is within one sigma as often as with a known noise, 68 %
            scale_sigma *= float(stdtrit(spare + (self.noise == "assumed"), ndtr(1.0)))
        if up is not None and np.isfinite(self.target[chosen, 2]).sum() < 2:
            # An inclination shortens what is seen from above: not linear, so not in the covariance
            scale_sigma = float(np.hypot(scale_sigma, 1 - np.cos(LEVEL_SIGMA_RAD)))
        offset = self.target - scale * self.source @ rotation.T - translation
        return Fit(
            scale=scale,
            rotation=rotation,
            translation=translation,
            inliers=chosen,
            residual_m=np.sqrt(np.nansum(np.square(offset), axis=1)),
            scale_sigma=scale_sigma,
            rotation_sigma_rad=float(np.sqrt(np.linalg.eigvalsh(covariance[1:4, 1:4])[-1])),
            leveled=up is not None,
        )
