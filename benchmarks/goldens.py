"""Golden outputs of the specification, their tolerances, and the models that they belong to.

A golden file holds samples of what the reference network computes from pseudo-weights that follow
from the tensors' names, and from images that follow from a few numbers (model.md, section 9).
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vggt_sfm.models import VGGT, VGGTConfig

# model.md section 9: largest absolute difference in float32
_MODEL_TOLERANCES = {
    "pose_enc_iters": 2e-5,
    "depth": 2e-4,
    "depth_conf": 2e-4,
    "track_iters": 1e-3,  # px
    "track.former_in1": 2e-2,  # sines of large numbers
}
_OTHER_MODEL_TOLERANCE = 1e-4
PIECE_TOLERANCE = 1e-5
INTRINSICS_TOLERANCE = 1e-6  # relative

SMALL = VGGTConfig(
    embed_dim=384,
    depth=6,
    num_heads=6,
    encoder_depth=12,
    encoder_heads=6,
    camera_depth=2,
    camera_heads=8,
    dpt_features=64,
    dpt_channels=(48, 96, 192, 192),
    dpt_layers=(1, 2, 4, 5),
    track_features=64,
    track_corr_levels=4,
    track_corr_radius=3,
    track_hidden=96,
)
"""Every part of the network around a ViT-S: 67 M parameters."""

TINY = VGGTConfig(
    img_size=56,
    embed_dim=64,
    depth=2,
    num_heads=4,
    num_register_tokens=2,
    patch_embed="conv",
    camera_depth=2,
    camera_heads=4,
    enable_depth=False,
    enable_point=False,
    enable_track=False,
)
"""No encoder, no dense heads and no tracker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A run of a model whose outputs and intermediates are golden."""

    file: str
    prefix: str
    """What the names of the case's arrays begin with."""
    config: VGGTConfig
    scenes: tuple[tuple[int, int, int, int], ...]
    """For each scene: frames, height and width in px, seed."""
    num_queries: int
    """Points to track in each scene; 0 leaves the track head out."""


CASES = {
    "A": Case(
        file="small.npz", prefix="A.", config=SMALL, scenes=((3, 70, 98, 0),), num_queries=16
    ),
    "B": Case(
        file="small.npz",
        prefix="B.",
        config=SMALL,
        scenes=((2, 56, 42, 1), (2, 56, 42, 2)),
        num_queries=8,
    ),
    "C": Case(file="small.npz", prefix="C.", config=SMALL, scenes=((1, 84, 84, 3),), num_queries=4),
    "T": Case(file="small.npz", prefix="T.", config=TINY, scenes=((3, 56, 84, 4),), num_queries=0),
    "full": Case(
        file="full.npz",
        prefix="",
        config=VGGTConfig.preset("vggt-1b"),
        scenes=((2, 392, 518, 7),),
        num_queries=48,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How far one of our arrays is from its golden."""

    case: str
    name: str
    difference: float
    """Largest absolute difference of the stored samples; NaN if one of them is NaN."""
    tolerance: float
    relative: bool = False
    """Whether both are relative to the golden's elements instead."""

    @property
    def ratio(self) -> float:
        """Difference over tolerance; infinite for NaN, and for any difference where none may be."""
        if self.difference == 0:
            return 0.0
        if math.isnan(self.difference) or not self.tolerance:
            return math.inf
        return self.difference / self.tolerance

    @property
    def within(self) -> bool:
        """Whether the difference is tolerated."""
        return self.difference <= self.tolerance


def model_tolerance(name: str) -> float:
    """Return how far an output or intermediate of the network may be off."""
    return _MODEL_TOLERANCES.get(name, _OTHER_MODEL_TOLERANCE)


def load_module(path: Path) -> ModuleType:
    """Import a single file that is on no search path.

    Raises:
        ImportError: If it is no Python file.
        FileNotFoundError: If it is not there.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Goldens:
    """One file of golden arrays; ``common`` is the recipe book that it was made with."""

    def __init__(self, folder: Path, file: str) -> None:
        self.common = load_module(folder / "golden_common.py")
        self.file = file
        self.arrays: dict[str, NDArray[Any]]  # each has a type of its own
        self.arrays, self.meta = self.common.load(folder / file)

    def names(self, prefix: str) -> list[str]:
        """Return the arrays under a prefix, without it."""
        return [name.removeprefix(prefix) for name in self.arrays if name.startswith(prefix)]

    def difference(self, name: str, array: NDArray[Any]) -> float:
        """Return the largest absolute difference to the stored samples of a whole array.

        Raises:
            ValueError: If the whole array's shape is another.
        """
        expected = tuple(self.meta["arrays"][name]["shape"])
        if array.shape != expected:
            raise ValueError(f"{name}: expected shape {expected}, got {array.shape}")
        return float(self.common.compare(name, self.arrays, self.meta, array)[0])

    def config(self) -> dict[str, Any]:
        """Return what the file says about how it was made; JSON."""
        return dict(self.meta["config"])

    def inputs(self, case: Case) -> tuple[Tensor, Tensor | None]:
        """Make the (B, S, 3, H, W) images and the (B, N, 2) query pixels of a case."""
        images = np.stack([self.common.make_images(*scene) for scene in case.scenes])
        if not case.num_queries:
            return torch.from_numpy(images), None
        queries = [self.common.make_queries(case.num_queries, *s[1:]) for s in case.scenes]
        return torch.from_numpy(images), torch.from_numpy(np.stack(queries))


def manifest(folder: Path, model: str) -> dict[str, tuple[int, ...]]:
    """Return the state-dict shapes of ``small``, ``tiny`` or ``vggt_1b``, in order."""
    entries = json.loads((folder / f"manifest_{model}.json").read_text())
    if isinstance(entries, dict):
        entries = entries["tensors"]
    return {entry["key"]: tuple(entry["shape"]) for entry in entries}


def seeded_state(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return the pseudo-weights that the goldens were computed with."""
    seeded = load_module(folder / "seeded_weights.py")
    return {k: torch.from_numpy(seeded.make_tensor(k, shape)) for k, shape in shapes.items()}


def seeded_model(folder: Path, config: VGGTConfig) -> VGGT:
    """Build a model and load the pseudo-weights into it, strictly."""
    with torch.device("meta"):
        model = VGGT(config)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict(seeded_state(folder, shapes), strict=True, assign=True)
    return model.eval()
