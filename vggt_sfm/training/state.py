"""All that a training run changes: weights, their average, the optimiser's moments."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from vggt_sfm.errors import InputError, WeightsError
from vggt_sfm.training.average import Average
from vggt_sfm.training.checkpoints import Snapshot, named
from vggt_sfm.training.optimizer import MOMENTS, Optimizers, freeze, trained
from vggt_sfm.training.plan import Plan


class TrainingState:
    """A model being trained, and how it becomes a snapshot and comes back from one.

    Frozen parameters are in no snapshot: whoever resumes makes the same model first.

    Raises:
        InputError: If the plan's globs fit nothing, or checkpoints would be larger than it allows.
    """

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        freeze(model, plan.freeze)
        self.model = model
        self.optimizers = Optimizers(model, plan)
        self.average = None if plan.average is None else Average(model, plan.average)
        self._check_limit(plan.checkpoint_limit)

    def snapshot(self, numbers: dict[str, float]) -> Snapshot:
        """Return what there is to save, not copied."""
        tensors = {f"model.{name}": tensor for name, tensor in self._saved_weights().items()}
        for name, parameter in trained(self.model).items():
            for kind, value in self.optimizers.moments(parameter).items():
                tensors[f"{kind}.{name}"] = value
        if self.average:
            tensors |= {f"average.{name}": value for name, value in self.average.values.items()}
            numbers = {**numbers, "averaged": self.average.updates}
        return Snapshot(tensors=tensors, numbers=numbers)

    def restore(self, snapshot: Snapshot, folder: Path) -> None:
        """Become what a snapshot from a folder says.

        Raises:
            WeightsError: If it belongs to another model, or to one trained otherwise.
        """
        weights, stored = self._saved_weights(), named(snapshot.tensors, "model")
        _check_same(folder, weights, stored)
        if self.average:
            average = named(snapshot.tensors, "average")
            _check_same(folder, self.average.values, average)
            self.average.restore(average, int(snapshot.numbers["averaged"]))
        for name, tensor in weights.items():
            tensor.copy_(stored[name])
        moments = {kind: named(snapshot.tensors, kind) for kind in MOMENTS}
        for name, parameter in trained(self.model).items():
            mine = {kind: values[name] for kind, values in moments.items() if name in values}
            if mine:  # not before the parameter's first gradient
                self.optimizers.restore(parameter, mine)

    def _saved_weights(self) -> dict[str, Tensor]:
        """Return trained parameters and buffers; frozen parameters do not change."""
        frozen = {name for name, p in self.model.named_parameters() if not p.requires_grad}
        return {k: v.detach() for k, v in self.model.state_dict().items() if k not in frozen}

    def _check_limit(self, limit: int | None) -> None:
        weights = sum(tensor.nbytes for tensor in self._saved_weights().values())
        copies = 3 + (self.average is not None)
        if limit is not None and copies * weights > limit:
            raise InputError(
                f"a checkpoint would take {copies * weights / 1e6:.0f} MB ({copies} x "
                f"{weights / 1e6:.0f} MB of trained weights), more than {limit / 1e6:.0f} MB; "
                "freeze more, keep no average, or raise the limit"
            )


def _check_same(folder: Path, wanted: dict[str, Tensor], stored: dict[str, Tensor]) -> None:
    wrong = sorted(
        name
        for name in wanted.keys() | stored.keys()
        if name not in wanted or name not in stored or wanted[name].shape != stored[name].shape
    )
    if wrong:
        raise WeightsError(
            f"{folder}: is a run of another model, or of one with other parts frozen; "
            f"{len(wrong)} tensors differ, the first: {wrong[0]}"
        )
