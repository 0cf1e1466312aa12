"""Which parameters are trained, and how fast each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from vggt_sfm.errors import InputError
from vggt_sfm.training.plan import Plan

_BETAS = (0.9, 0.98)


def fits(name: str, glob: str) -> bool:
    """Tell whether a glob means a parameter: by its whole name, or by that of a module around it.

    >>> fits("aggregator.patch_embed.norm.weight", "*.patch_embed")
    True
    """
    return fnmatchcase(name, glob) or fnmatchcase(name, f"{glob}.*")


def freeze(model: nn.Module, globs: Sequence[str]) -> None:
    """Keep the parameters that a glob fits as they are, and train all others.

    Raises:
        InputError: If a glob fits no parameter, or all are frozen.
    """
    _check_globs(model, globs)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(fits(name, glob) for glob in globs))
    if not trained(model):
        raise InputError(f"nothing is left to train: all is frozen by {', '.join(globs)}")


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are not frozen, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def make_optimizer(model: nn.Module, plan: Plan) -> torch.optim.AdamW:
    """Make AdamW whose groups know their ``peak_rate``.

    Raises:
        InputError: If a glob of the plan's rates fits no parameter.
    """
    _check_globs(model, [glob for glob, _ in plan.rates])
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trained(model).items():
        decay = plan.weight_decay if parameter.ndim >= 2 else 0.0
        groups.setdefault((_peak_rate(name, plan), decay), []).append(parameter)
    described: list[dict[str, Any]] = [
        {"params": parameters, "peak_rate": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    return torch.optim.AdamW(described, lr=plan.peak_rate, betas=_BETAS)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give every group its share of its peak rate."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["peak_rate"]


def _peak_rate(name: str, plan: Plan) -> float:
    return next((rate for glob, rate in plan.rates if fits(name, glob)), plan.peak_rate)


def _check_globs(model: nn.Module, globs: Iterable[str]) -> None:
    names = [name for name, _ in model.named_parameters()]
    for glob in globs:
        if not any(fits(name, glob) for name in names):
            parts = sorted({name.split(".")[0] for name in names})
            raise InputError(f"no parameter fits {glob!r}; they are in {', '.join(parts)}")
