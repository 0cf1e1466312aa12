"""Which model predicts, and how it wants its images; nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, get_args

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16"]
PointSource = Literal["depth", "point-head"]
TrackPositions = Literal["auto", "on", "off"]
EMBEDDED = "tiny"
TINY_LONG_SIDE = 448
# Many photographs overlap more than they need to: on 60 of 7-Scenes, 27 % fewer pixels cost 0.5
# points of AUC@30, and 1 point after adjustment.
TINY_LONG_SIDE_OF_MANY = 384
MANY_FRAMES = 24
TINY_STRIDE = 16  # image sides must be multiples of this


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictConfig:
    """Which model predicts, and where it runs."""

    weights: Path | None = field(
        default=None,
        metadata={
            "help": "A VGGT-1B checkpoint of yours: .safetensors (one file or shards) or .pt."
        },
    )
    model: str | None = None
    """A known model by name, downloaded if need be: see vggt-sfm weights list. Beside --weights,
    which model that file is. Without either the embedded model runs."""
    device: Device = field(default="auto", metadata={"help": "Where the network runs."})
    precision: Precision = "auto"
    """Arithmetic of the network's trunk. auto: bfloat16 on CUDA as published, else float32, in
    which the heads always work here."""
    offline: bool = False
    """Make no network call; a model that is not on this machine is an error."""
    commercial_only: bool = False
    """Refuse weights whose licence forbids, or is not known to allow, commercial use."""
    point_source: PointSource = "depth"
    """Where 3D points start: depth and cameras, or the point head's own points."""
    track_head: bool = True
    """Follow points through the photos with the track head, where the model has one."""
    track_positions: TrackPositions = "auto"
    """Position embedding in the track head's features. It must be what the weights were trained
    with; auto knows that of the published ones."""
    query_frames: int = 8
    """Photos in which the track head's points are chosen, spread by what the network sees."""
    query_points: int = 512
    """Points chosen in each of them."""

    def __post_init__(self) -> None:
        for name, words in (
            ("device", Device),
            ("precision", Precision),
            ("point_source", PointSource),
            ("track_positions", TrackPositions),
        ):
            if getattr(self, name) not in get_args(words):
                raise ValueError(
                    f"{name} must be one of {get_args(words)}, not {getattr(self, name)!r}"
                )
        if self.query_frames < 1 or self.query_points < 1:
            raise ValueError("PredictConfig: query_frames and query_points must be >= 1")


class Preprocessing(NamedTuple):
    """How a model wants its images; the arguments of ``plan_pixel_maps``."""

    mode: Literal["crop", "pad", "fit"]
    long_side: int
    multiple: int
    long_side_of_many: int | None = None
    """Of more than ``MANY_FRAMES`` photographs; None: the same."""

    def for_frames(self, count: int) -> int:
        """Return the long side for a number of photographs, px."""
        of_many = self.long_side_of_many
        return self.long_side if of_many is None or count <= MANY_FRAMES else of_many


def model_preprocessing(config: PredictConfig) -> Preprocessing:
    """Return how the chosen model wants its images."""
    if config.weights is None and config.model in (None, EMBEDDED):
        return Preprocessing("fit", TINY_LONG_SIDE, TINY_STRIDE, TINY_LONG_SIDE_OF_MANY)
    return Preprocessing("crop", 518, 14)
