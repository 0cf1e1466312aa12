"""Which model predicts, and how it wants its images; nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, get_args

Device = Literal["auto", "cpu", "cuda", "mps"]
TINY_LONG_SIDE = 448
TINY_STRIDE = 16  # image sides must be multiples of this


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictConfig:
    """Which model predicts, and where it runs."""

    weights: Path | None = field(
        default=None,
        metadata={"help": "A VGGT-1B checkpoint of yours; without it the embedded model runs."},
    )
    device: Device = field(default="auto", metadata={"help": "Where the network runs."})

    def __post_init__(self) -> None:
        if self.device not in get_args(Device):
            raise ValueError(f"device must be one of {get_args(Device)}, not {self.device!r}")


class Preprocessing(NamedTuple):
    """How a model wants its images; the arguments of ``plan_pixel_maps``."""

    mode: Literal["crop", "pad", "fit"]
    long_side: int
    multiple: int


def model_preprocessing(config: PredictConfig) -> Preprocessing:
    """Return how the chosen model wants its images."""
    if config.weights is None:
        return Preprocessing("fit", TINY_LONG_SIDE, TINY_STRIDE)
    return Preprocessing("crop", 518, 14)
