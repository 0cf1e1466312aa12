"""Where a network runs and in which arithmetic."""

from __future__ import annotations

import torch

from vggt_sfm.errors import CapabilityError
from vggt_sfm.models.checkpoint import WeightsPrecision
from vggt_sfm.models.choice import Device, Precision


def select_device(name: Device) -> torch.device:
    """Turn ``auto`` into the best device that is there, and check any other.

    Raises:
        CapabilityError: If the device is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(d for d, ok in there.items() if ok))
    if not there[name]:
        raise CapabilityError(f"--device {name}: this machine has none; use --device auto")
    return torch.device(name)


def select_precision(name: Precision, device: torch.device) -> WeightsPrecision:
    """Turn ``auto`` into bfloat16 where CUDA hardware has it and into float32 elsewhere."""
    if name != "auto":
        return name
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
