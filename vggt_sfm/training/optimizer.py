"""Which parameters are trained, and how fast each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from vggt_sfm.errors import InputError
from vggt_sfm.training.plan import Plan

_BETAS = (0.9, 0.98)
_MUON_MOMENTUM, _MUON_DECAY = 0.95, 0.01
MOMENTS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")


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


class Optimizers:
    """AdamW, and Muon for the matrices where a plan says so, as if they were one.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019; Jordan et
    al., "Muon: an optimizer for hidden layers in neural networks", 2024.

    Raises:
        InputError: If a glob of the plan's rates fits no parameter.
    """

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        _check_globs(model, [glob for glob, _ in plan.rates])
        self._of: dict[nn.Parameter, torch.optim.Optimizer] = {}
        chosen = trained(model)
        matrices = {n: p for n, p in chosen.items() if plan.muon_rate and p.ndim == 2}
        others = {n: p for n, p in chosen.items() if n not in matrices}
        if matrices and plan.muon_rate:
            group: dict[str, Any] = {"params": [*matrices.values()], "peak_rate": plan.muon_rate}
            self._add(torch.optim.Muon([group], weight_decay=_MUON_DECAY, momentum=_MUON_MOMENTUM))
        if others:
            self._add(torch.optim.AdamW(_groups(others, plan), lr=plan.peak_rate, betas=_BETAS))

    def _add(self, optimizer: torch.optim.Optimizer) -> None:
        for group in optimizer.param_groups:
            self._of.update(dict.fromkeys(group["params"], optimizer))

    @property
    def all(self) -> list[torch.optim.Optimizer]:
        """The optimisers, each once."""
        return list(dict.fromkeys(self._of.values()))

    def set_rates(self, factor: float) -> None:
        """Give every group its share of its peak rate."""
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = factor * group["peak_rate"]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for optimizer in self.all:
            optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Change the parameters."""
        for optimizer in self.all:
            optimizer.step()

    def moments(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """What is remembered of a parameter's gradients; empty before the first."""
        return dict(self._of[parameter].state.get(parameter, {}))

    def restore(self, parameter: nn.Parameter, moments: dict[str, Tensor]) -> None:
        """Go on with what an earlier run remembered."""
        self._of[parameter].state[parameter] = {
            kind: value if kind == "step" else value.to(parameter.device)
            for kind, value in moments.items()
        }


def _groups(parameters: dict[str, nn.Parameter], plan: Plan) -> list[dict[str, Any]]:
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        decay = plan.weight_decay if parameter.ndim >= 2 else 0.0
        groups.setdefault((_peak_rate(name, plan), decay), []).append(parameter)
    return [
        {"params": parameters, "peak_rate": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _peak_rate(name: str, plan: Plan) -> float:
    return next((rate for glob, rate in plan.rates if fits(name, glob)), plan.peak_rate)


def _check_globs(model: nn.Module, globs: Iterable[str]) -> None:
    names = [name for name, _ in model.named_parameters()]
    for glob in globs:
        if not any(fits(name, glob) for name in names):
            parts = sorted({name.split(".")[0] for name in names})
            raise InputError(f"no parameter fits {glob!r}; they are in {', '.join(parts)}")
