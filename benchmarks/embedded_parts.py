"""What the parts of the embedded model's benchmark share: plan, photographs, results and bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vggt_sfm._checks import Float64
from vggt_sfm._log import SilentProgress
from vggt_sfm.benchmarks.pairs import FOLDER as SCANNET
from vggt_sfm.benchmarks.two_views import View
from vggt_sfm.errors import InputError
from vggt_sfm.inference.embedded import EmbeddedPredictor
from vggt_sfm.io.colmap import poses_by_name, read_sparse
from vggt_sfm.io.images import discover
from vggt_sfm.models.choice import PredictConfig, model_preprocessing
from vggt_sfm.models.tiny.model import TinyModel
from vggt_sfm.pipelines.config import IngestConfig
from vggt_sfm.pipelines.stages import run_ingest, run_predict
from vggt_sfm.scene import Predictions, Scene

METRES = 1e-3  # a unit of the depth files


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure."""

    data: Path
    """Folder of the data sets."""
    weights: Path
    output: Path
    fast: bool = False
    """Fewer windows and pairs, to compare the checkpoints of a training."""

    def model(self) -> TinyModel:
        """Load the model."""
        return TinyModel.load(self.weights, torch.device("cpu"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came out of a part."""

    tables: tuple[str, ...]
    """Markdown."""
    figures: dict[str, Any]
    """What JSON holds."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Photographs:
    """S photographs with their true cameras."""

    images: tuple[Path, ...]
    cam_from_world: Float64  # (S, 3, 4) scene units: metres
    intrinsics: Float64  # (S, 3, 3) px
    depth_folder: Path

    @cached_property
    def scene(self) -> Scene:
        """The photographs as the product reads them when they are all that it is given."""
        return ingest(self.images)

    def view(self, s: int) -> View:
        """Return the true camera of a photograph, with its true depth where there is some."""
        size = self.scene.frames[s].size
        depth = self.depth(s)
        return View(self.cam_from_world[s], self.intrinsics[s], size, depth)

    def depth(self, s: int) -> Float64 | None:
        """Return the (H, W) true depth of a photograph, metres, 0 = unknown, if there is any."""
        path = self.depth_folder / f"{self.images[s].stem}.png"
        if not path.is_file():
            return None
        with Image.open(path) as image:
            return np.asarray(image, np.float64) * METRES


def photographs(folder: Path, model: str = "") -> Photographs:
    """Read a data set.

    Args:
        folder: With ``images``, ``gt`` and perhaps ``depth``.
        model: Which of the models in ``gt``, where there are several.

    Raises:
        InputError: If there is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is missing")
    truth = read_sparse(folder / "gt" / model)
    poses = poses_by_name(truth)
    names = sorted(poses)
    K_of = {
        im.name: truth.cameras[im.camera_id].calibration_matrix() for im in truth.images.values()
    }
    return Photographs(
        images=tuple(folder / "images" / name for name in names),
        cam_from_world=np.stack([poses[name] for name in names]),
        intrinsics=np.stack([K_of[name] for name in names]),
        depth_folder=folder / "depth",
    )


def scannet_pairs(data: Path) -> dict[str, Photographs]:
    """Read the wide-baseline pairs, each a set of its own, by name.

    Raises:
        InputError: If they are missing.
    """
    folder = data / SCANNET
    if not folder.is_dir():
        raise InputError(f"{folder} is missing")
    names = sorted(path.name for path in (folder / "gt").iterdir())
    return {name: photographs(folder, name) for name in names}


def ingest(images: Sequence[Path]) -> Scene:
    """Read photographs as the product does for the embedded model."""
    return run_ingest(
        IngestConfig(),
        files=discover(list(images)),
        masks={},
        rig=None,
        preprocessing=model_preprocessing(PredictConfig()),
        progress=SilentProgress(),
    )


def predictor_of(weights: Path) -> EmbeddedPredictor:
    """Return the product's predictor with these weights."""
    return EmbeddedPredictor(weights, sha256="", licence="", device=torch.device("cpu"))


def predict(scene: Scene, predictor: EmbeddedPredictor) -> Predictions:
    """Run the product's predict stage."""
    return run_predict(PredictConfig(), scene=scene, predictor=predictor, progress=SilentProgress())


def focal_lengths(scene: Scene, predictions: Predictions) -> Float64:
    """Return the (S,) predicted focal lengths, px of the photographs."""
    pairs = zip(scene.pixel_maps, predictions.intrinsics, strict=True)
    matrices = np.stack([m.intrinsics_to_original(K) for m, K in pairs])
    return mean_focals(matrices)


def mean_focals(intrinsics: Float64) -> Float64:
    """Return the (S,) means of both focal lengths of (S, 3, 3) matrices, px."""
    return np.asarray((intrinsics[:, 0, 0] + intrinsics[:, 1, 1]) / 2)


def median_focal_error(found: Float64, truth: Float64) -> float:
    """Return the median relative error of (S,) focal lengths, percent."""
    return float(100 * np.median(np.abs(found / truth - 1)))


def auc_cell(
    auc: Callable[[Float64, int], float], errors_deg: Float64, thresholds: Sequence[int]
) -> str:
    """Write the AUC of (P,) errors at several thresholds."""
    return "/".join(f"{auc(errors_deg, t):.1f}" for t in thresholds)


def at_least(value: float, bar: float) -> str:
    """Write a bar that a value must reach, and whether it does."""
    return f"≥ {bar:g}: {_met(value >= bar)}"


def below(value: float, bar: float) -> str:
    """Write a bar that a value must not exceed, and whether it does not."""
    return f"≤ {bar:g}: {_met(value <= bar)}"


def above(value: float, other: float, name: str) -> str:
    """Write that a value must be above another, and whether it is."""
    return f"> {name}: {_met(value > other)}"


def _met(good: bool) -> str:
    return "met" if good else "MISSED"
