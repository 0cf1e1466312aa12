"""The moving average of weights, which is what gets used after training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vggt_sfm.training.optimizer import trained


class Average:
    """Exponential moving average of the trained parameters.

    Its decay rises to the one given, so that the random start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self.updates = 0
        self.values = {name: p.detach().clone() for name, p in trained(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move a little towards the model's weights."""
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, parameter in trained(model).items():
            self.values[name].lerp_(parameter, 1 - decay)

    def restore(self, values: dict[str, Tensor], updates: int) -> None:
        """Go on from what an earlier run had."""
        self.updates = updates
        for name, value in self.values.items():
            value.copy_(values[name])
