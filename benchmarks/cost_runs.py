"""Our reconstruction and pycolmap's of the same files, in turn, each in a process of its own."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pycolmap
from PIL import Image

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.child import run
from vggt_sfm.benchmarks.colmap_run import MODEL, ColmapOptions
from vggt_sfm.benchmarks.scores import named_scores
from vggt_sfm.errors import GateError
from vggt_sfm.io.colmap import poses_by_name, read_sparse
from vggt_sfm.tracking.config import LARGEST_ZOOM, TrackConfig
from vggt_sfm.tracking.features import LOOKING_CLOSER, closer_look, usual_look

OURS, DEFAULTS, SAME = "ours", "pycolmap, defaults", "pycolmap, our features"
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
_SEPARATE_CAMERAS = ("sacre_coeur",)
_EXTRACTION_TASK = "features"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One run of one program on one scene."""

    program: str
    cpu_seconds: float
    """Of the whole process, as the system counts it."""
    steps: dict[str, float]
    """CPU seconds by stage; of ours, ``extract`` is a part of ``track``."""
    tasks: dict[str, float] = field(default_factory=dict)
    """Ours only: CPU seconds of what the stages report as tasks."""
    auc: dict[str, float] | None
    registered: int
    remark: str = ""

    @property
    def after_features(self) -> float:
        """CPU seconds of what turns features into a model."""
        if self.program == OURS:
            return self.steps["track"] - self.steps["extract"] + self.steps["adjust"]
        return self.steps["match"] + self.steps["map"]


def run_ours(
    images: Path, folder: Path, truth: dict[str, Float64] | None
) -> tuple[Cost, TrackConfig]:
    """Reconstruct from nothing; also return how SIFT looked at the photographs in the end.

    Raises:
        GateError: If the process fails.
    """
    shutil.rmtree(folder, ignore_errors=True)  # its results would be found and not made again
    config = {"track": {"threads": 1}, "adjust": {"threads": 1}}
    told, cpu_seconds = _child("our_run", images, folder, config)
    steps = {**told["stages"], "extract": told["tasks"].get(_EXTRACTION_TASK, 0.0)}
    known = sum(told["stages"].values())
    steps["rest"] = round(cpu_seconds - known, 3)
    poses = poses_by_name(read_sparse(folder / "sparse/0"))
    again = any(LOOKING_CLOSER in line for line in told["log"])
    look = closer_look(TrackConfig()) if again else usual_look(TrackConfig(), len(poses))
    cost = Cost(
        program=OURS,
        cpu_seconds=round(cpu_seconds, 3),
        steps=steps,
        tasks=told["tasks"],
        remark=told["line"],
        **_scored(poses, truth),
    )
    return cost, look


def run_colmap(
    program: str,
    images: Path,
    folder: Path,
    options: ColmapOptions,
    truth: dict[str, Float64] | None,
) -> Cost:
    """Run pycolmap's incremental pipeline.

    Raises:
        GateError: If the process fails.
    """
    told, cpu_seconds = _child("colmap_run", images, folder, asdict(options))
    found = (folder / MODEL).is_dir()
    poses = poses_by_name(pycolmap.Reconstruction(folder / MODEL)) if found else {}
    steps = {**told["steps"], "rest": round(cpu_seconds - sum(told["steps"].values()), 3)}
    return Cost(
        program=program,
        cpu_seconds=round(cpu_seconds, 3),
        steps=steps,
        remark=f"{told['features']} features an image",
        **_scored(poses, truth),
    )


def _child(module: str, images: Path, folder: Path, options: dict[str, Any]) -> tuple[Any, float]:
    """Run a module; return the JSON that it printed last, and its CPU seconds."""
    arguments = ("-m", f"vggt_sfm.benchmarks.{module}", images, folder, json.dumps(options))
    done = run(*arguments, environment=_ONE_THREAD)
    if done.exit_code:
        raise GateError(f"{module} on {images} ended with {done.exit_code}")
    return json.loads(done.output.splitlines()[-1]), done.cpu_seconds


def _scored(poses: dict[str, Float64], truth: dict[str, Float64] | None) -> dict[str, Any]:
    auc = None if truth is None else named_scores(poses, truth).auc_exact
    return {"auc": auc, "registered": len(poses)}


def longest_side(images: Path) -> int:
    """Return the longest side of the photographs of a folder, px."""
    sides = [0]
    for path in images.iterdir():
        with Image.open(path) as photo:
            sides += photo.size
    return max(sides)


def with_our_features(look: TrackConfig, longest: int, *, shared_camera: bool) -> ColmapOptions:
    """Return options that make pycolmap see photographs up to ``longest`` px as we looked."""
    zoom = look.feature_zoom or LARGEST_ZOOM
    return ColmapOptions(
        shared_camera=shared_camera,
        max_features=look.max_features,
        max_image_size=round(min(zoom * longest, look.max_image_size) / LARGEST_ZOOM),
        first_octave=-1,  # doubled, as OpenCV does
        peak_threshold=look.peak_threshold,
    )


def run_scene(data: Path, scene: str, output: Path, repeat: int) -> list[Cost]:
    """Run the three programs in turn, several times."""
    images, folder = data / scene / "images", output / scene
    has_truth = (data / scene / "gt").is_dir()
    truth = poses_by_name(pycolmap.Reconstruction(data / scene / "gt")) if has_truth else None
    shared = scene not in _SEPARATE_CAMERAS
    longest = longest_side(images)
    costs = []
    for number in range(repeat):
        place = folder / str(number)
        # Beside each other in time: how fast a core is changes with what else the machine does.
        cost, look = run_ours(images, place / "ours", truth)
        same = with_our_features(look, longest, shared_camera=shared)
        costs.append(cost)
        plain = ColmapOptions(shared_camera=shared)
        for program, options in ((DEFAULTS, plain), (SAME, same)):
            costs.append(run_colmap(program, images, place / "colmap", options, truth))
    return costs
