"""Our reconstruction and pycolmap's of the same files, in turn, each in a process of its own."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.child import run
from vggt_sfm.benchmarks.colmap_run import MODEL, ColmapOptions
from vggt_sfm.benchmarks.real_photos import score
from vggt_sfm.errors import GateError
from vggt_sfm.io.colmap import poses_by_name, read_sparse
from vggt_sfm.tracking.config import TrackConfig

OURS, DEFAULTS, SAME = "ours", "pycolmap, defaults", "pycolmap, our features"
# What the track stage logs when it found too little and matches again; a test reads it there.
DOUBLED = "matching again at double size"
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


def run_ours(images: Path, folder: Path, truth: dict[str, Float64] | None) -> tuple[Cost, int]:
    """Reconstruct from nothing; also return SIFT's first octave.

    Raises:
        GateError: If the process fails.
    """
    shutil.rmtree(folder, ignore_errors=True)  # its results would be found and not made again
    config = {"track": {"threads": 1}, "adjust": {"threads": 1}}
    told, cpu_seconds = _child("our_run", images, folder, config)
    steps = {**told["stages"], "extract": told["tasks"].get(_EXTRACTION_TASK, 0.0)}
    known = sum(told["stages"].values())
    steps["rest"] = round(cpu_seconds - known, 3)
    doubled = any(DOUBLED in line for line in told["log"])
    octave = TrackConfig().first_octave
    poses = poses_by_name(read_sparse(folder / "sparse/0"))
    cost = Cost(
        program=OURS,
        cpu_seconds=round(cpu_seconds, 3),
        steps=steps,
        tasks=told["tasks"],
        remark=told["line"],
        **_scored(poses, truth, images),
    )
    return cost, octave if octave is not None else -int(doubled)


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
        **_scored(poses, truth, images),
    )


def _child(module: str, images: Path, folder: Path, options: dict[str, Any]) -> tuple[Any, float]:
    """Run a module; return the JSON that it printed last, and its CPU seconds."""
    arguments = ("-m", f"vggt_sfm.benchmarks.{module}", images, folder, json.dumps(options))
    done = run(*arguments, environment=_ONE_THREAD)
    if done.exit_code:
        raise GateError(f"{module} on {images} ended with {done.exit_code}")
    return json.loads(done.output.splitlines()[-1]), done.cpu_seconds


def _scored(
    poses: dict[str, Float64], truth: dict[str, Float64] | None, images: Path
) -> dict[str, Any]:
    row = score(poses, truth, sorted(path.name for path in images.iterdir()))
    return {"auc": row.get("auc_exact"), "registered": row["registered"]}


def run_scene(data: Path, scene: str, output: Path, repeat: int) -> list[Cost]:
    """Run the three programs in turn, several times."""
    images, folder = data / scene / "images", output / scene
    has_truth = (data / scene / "gt").is_dir()
    truth = poses_by_name(pycolmap.Reconstruction(data / scene / "gt")) if has_truth else None
    shared, ours = scene not in _SEPARATE_CAMERAS, TrackConfig()
    costs = []
    for number in range(repeat):
        place = folder / str(number)
        # Beside each other in time: how fast a core is changes with what else the machine does.
        cost, octave = run_ours(images, place / "ours", truth)
        same = ColmapOptions(
            shared_camera=shared,
            max_features=ours.max_features,
            max_image_size=ours.max_image_size,
            first_octave=octave,
        )
        costs.append(cost)
        plain = ColmapOptions(shared_camera=shared)
        for program, options in ((DEFAULTS, plain), (SAME, same)):
            costs.append(run_colmap(program, images, place / "colmap", options, truth))
    return costs
