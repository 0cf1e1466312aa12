"""Several processes, one batch: started by ``torchrun``, each with its share of every step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; alone there is nothing to join.

    Args:
        device: Kind of device; each process of a machine takes its own CUDA device.

    Yields:
        The device of this process.
    """
    if "WORLD_SIZE" not in os.environ:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process; 0 alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """Return the number of processes; 1 alone."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait() -> None:
    """Go on when all processes have got here."""
    if dist.is_initialized():
        dist.barrier()


def share_weights(model: nn.Module) -> None:
    """Give every process the first one's parameters and buffers."""
    if dist.is_initialized():
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)


def mean(value: Tensor) -> Tensor:
    """Return the mean of a scalar over the processes; not a number if one of them has none."""
    if not dist.is_initialized():
        return value.detach()
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / size()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over the processes.

    A parameter that has none anywhere keeps none, and so is not decayed either.
    """
    if not dist.is_initialized():
        return
    parameters = list(parameters)
    present = torch.tensor(
        [p.grad is not None for p in parameters], dtype=torch.int32, device=parameters[0].device
    )
    dist.all_reduce(present, op=dist.ReduceOp.MAX)
    for parameter, anywhere in zip(parameters, present.tolist(), strict=True):
        if anywhere:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)
            parameter.grad /= size()
