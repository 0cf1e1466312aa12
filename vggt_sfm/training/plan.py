"""How long and how fast to train."""

from __future__ import annotations

import math
from dataclasses import dataclass

CHECKPOINT_LIMIT = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Length, rates and bookkeeping of one run.

    Raises:
        ValueError: If a number is out of its range.
    """

    steps: int
    peak_rate: float
    """Learning rate after the warm-up."""
    seed: int = 0
    """Everything random in a step follows from this, the step and the rank of the process."""
    warm_up: int = 200
    """Steps in which the rate rises linearly."""
    decay_share: float = 1.0
    """Last part of the run in which the rate falls to zero along half a cosine; 1: all of it after
    the warm-up, as VGGT was trained."""
    muon_rate: float | None = None
    """Peak rate of Muon for all matrices; None: they are trained by AdamW like the rest."""
    rates: tuple[tuple[str, float], ...] = ()
    """Peak rates of some parameters by glob; the first that fits counts."""
    freeze: tuple[str, ...] = ()
    """Globs of parameters that stay as they are."""
    weight_decay: float = 0.02
    """Of matrices and kernels only."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    average: float | None = 0.997
    """Decay of the exponential moving average of the weights; None: keep none."""
    save_every: int = 250
    """Steps between checkpoints."""
    log_every: int = 50
    """Steps between lines of the log."""
    checkpoint_limit: int | None = CHECKPOINT_LIMIT
    """Bytes that a checkpoint may take; None: any number."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.save_every < 1 or self.log_every < 1:
            raise ValueError("Plan: steps, save_every and log_every must be >= 1")
        if not 0 < self.decay_share <= 1:
            raise ValueError(f"Plan: decay_share must be in (0, 1], got {self.decay_share}")
        if self.average is not None and not 0 <= self.average < 1:
            raise ValueError(f"Plan: average must be in [0, 1), got {self.average}")


def rate_factor(step: int, plan: Plan) -> float:
    """Return what a step's rate is of the peak rate: warm-up, plateau, half a cosine."""
    if step < plan.warm_up:
        return (step + 1) / plan.warm_up
    start = max(plan.warm_up, (1 - plan.decay_share) * plan.steps)
    through = max(0.0, (step - start) / (plan.steps - start))
    return (1 + math.cos(math.pi * through)) / 2
