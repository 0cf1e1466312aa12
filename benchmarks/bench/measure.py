"""One way of getting the cameras of one bag, measured; runs in the worker."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pycolmap
import torch

from vggt_sfm import ReconstructConfig, reconstruct
from vggt_sfm._checks import Float64
from vggt_sfm._memory import forget_peak, peak_memory_mb
from vggt_sfm.benchmarks.bench.matching import relative_poses, two_view_matches
from vggt_sfm.benchmarks.bench.modes import (
    ADJUSTED,
    FEED_FORWARD,
    GLOBAL,
    INCREMENTAL,
    MATCHING,
    OURS,
    Job,
    Measured,
)
from vggt_sfm.benchmarks.colmap_run import (
    DATABASE,
    ColmapOptions,
    extract,
    map_globally,
    map_images,
    match,
    quiet,
)
from vggt_sfm.benchmarks.scores import stacked
from vggt_sfm.errors import InputError
from vggt_sfm.inference import open_predictor
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.io.images import discover, read_frame
from vggt_sfm.io.shared_cameras import with_shared_cameras
from vggt_sfm.pipelines.report import NetworkReport, network_report
from vggt_sfm.pipelines.result import ReconstructResult


class Step(NamedTuple):
    """A piece of work that several modes of a bag may share."""

    name: str
    key: str
    """Of its result."""
    seconds: float
    """What it took now."""
    cached: bool
    """Whether the result was there."""


class Outcome(NamedTuple):
    """What a mode found."""

    cam_from_world: Float64  # (T, S, 3, 4)
    steps: list[Step]
    remark: str = ""


@dataclass(slots=True)
class _Scene:
    """The folder of the bag that is being measured, and what its steps took."""

    bag: str
    folder: Path
    names: tuple[str, ...]
    colmap_options: ColmapOptions | None = None
    seconds_of: dict[str, float] = field(default_factory=dict)

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def colmap(self) -> Path:
        return self.folder / "colmap"

    def counted(self, step: Step) -> float:
        """Return what a step took when it was done, as far as that mode came to its end."""
        if not step.cached:
            self.seconds_of[step.key] = step.seconds
        return self.seconds_of.setdefault(step.key, step.seconds)


class Measurer:
    """Measures job after job with one model in memory."""

    def __init__(self, config: ReconstructConfig, threads: int, work: Path) -> None:
        """Open the model.

        Args:
            config: How to reconstruct.
            threads: For everything, 0: one a core.
            work: Folder for what is made, one bag at a time.
        """
        quiet()
        if threads:
            torch.set_num_threads(threads)
        self._config = replace(
            config,
            track=replace(config.track, threads=threads),
            adjust=replace(config.adjust, threads=threads),
        )
        self._threads = threads or -1
        self._predictor = open_predictor(config.predict, keep=True)
        self._work = work
        self._scene: _Scene | None = None

    def network(self) -> NetworkReport:
        """Tell which model it is."""
        return network_report(self._predictor)

    def measure(self, job: Job) -> Measured:
        """Do one job; a mode may use what an earlier one of the same bag has left.

        Raises:
            VggtSfmError: If nothing can be reconstructed.
        """
        scene = self._scene_of(job)
        if job.mode not in OURS and scene.colmap_options is None:  # before the clock runs
            one = _one_camera(scene.images)
            scene.colmap_options = ColmapOptions(shared_camera=one, threads=self._threads)
        forget_peak()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        outcome = _MODES[job.mode](self, scene, job)
        spent = time.perf_counter() - start
        took = {step.name: scene.counted(step) for step in outcome.steps}
        saved = sum(took[step.name] - step.seconds for step in outcome.steps if step.cached)
        return Measured(
            cam_from_world=outcome.cam_from_world,
            steps={name: round(seconds, 3) for name, seconds in took.items()},
            seconds=spent + saved,
            spent_seconds=spent,
            peak_memory_mb=peak_memory_mb(),
            gpu_peak_mb=_gpu_peak_mb(),
            remark=outcome.remark,
        )

    def _scene_of(self, job: Job) -> _Scene:
        if self._scene is None or self._scene.bag != job.bag:
            if self._scene is not None:
                shutil.rmtree(self._scene.folder, ignore_errors=True)
                self._scene = None
            folder = Path(tempfile.mkdtemp(dir=self._work))
            names = link_in_order(job.photographs, folder / "images")
            self._scene = _Scene(job.bag, folder, names)
        return self._scene

    def feed_forward(self, scene: _Scene, job: Job) -> Outcome:
        """Predict, without adjustment."""
        return _ours(self._reconstruct(scene, ba=False), scene)

    def adjusted(self, scene: _Scene, job: Job) -> Outcome:
        """Predict and adjust."""
        return _ours(self._reconstruct(scene, ba=True), scene)

    def matching(self, scene: _Scene, job: Job) -> Outcome:
        """Match two photographs, and find their pose from matches and given intrinsics.

        Raises:
            InputError: If there are not two photographs with intrinsics.
        """
        if job.intrinsics is None or len(scene.names) != 2:
            raise InputError("matching needs pairs of photographs whose intrinsics are given")
        result = self._reconstruct(scene, ba=False)
        matches = two_view_matches(result)
        poses = relative_poses(matches.xy, job.intrinsics, matches.sizes)
        first = np.broadcast_to(np.eye(3, 4), poses.shape)
        outcome = _ours(result, scene)
        return Outcome(
            np.stack([first, poses], axis=1), outcome.steps, f"{len(matches.xy)} matches"
        )

    def incremental(self, scene: _Scene, job: Job) -> Outcome:
        """Run pycolmap's incremental mapping."""
        return self._colmap(scene, map_images, INCREMENTAL)

    def globally(self, scene: _Scene, job: Job) -> Outcome:
        """Run pycolmap's global mapping."""
        return self._colmap(scene, map_globally, GLOBAL)

    def _reconstruct(self, scene: _Scene, *, ba: bool) -> ReconstructResult:
        config = replace(self._config, ba=ba, report=False)
        return reconstruct(scene.images, scene.folder / "ours", config, predictor=self._predictor)

    def _colmap(self, scene: _Scene, mapper: Mapper, name: str) -> Outcome:
        options, database = scene.colmap_options or ColmapOptions(), scene.colmap / DATABASE
        cached = "match" in scene.seconds_of
        times = [time.perf_counter()]
        if not cached:
            scene.colmap.mkdir(exist_ok=True)
            database.unlink(missing_ok=True)  # of an attempt that failed
            extract(scene.images, database, options)
            times.append(time.perf_counter())
            match(database, options)
            times.append(time.perf_counter())
        model = mapper(scene.images, scene.colmap, options)
        times.append(time.perf_counter())
        took = [after - before for before, after in pairwise(times)]
        shared = took[:2] if not cached else (0.0, 0.0)
        steps = [Step(n, n, s, cached) for n, s in zip(("extract", "match"), shared, strict=True)]
        steps.append(Step("map", name, took[-1], cached=False))
        poses = {} if model is None else poses_by_name(model)
        return Outcome(stacked(poses, scene.names)[None], steps)


Mapper = Callable[[Path, Path, ColmapOptions], pycolmap.Reconstruction | None]

_MODES: dict[str, Callable[[Measurer, _Scene, Job], Outcome]] = {
    FEED_FORWARD: Measurer.feed_forward,
    ADJUSTED: Measurer.adjusted,
    MATCHING: Measurer.matching,
    INCREMENTAL: Measurer.incremental,
    GLOBAL: Measurer.globally,
}


def link_in_order(photographs: Sequence[Path], folder: Path) -> tuple[str, ...]:
    """Link photographs under names that sort in the given order; return the names."""
    folder.mkdir(parents=True)
    names = []
    for number, photograph in enumerate(photographs):
        names.append(f"{number:05d}_{photograph.name}")
        try:
            (folder / names[-1]).symlink_to(photograph.absolute())
        except OSError:  # Windows allows it to few
            shutil.copyfile(photograph, folder / names[-1])
    return tuple(names)


def _ours(result: ReconstructResult, scene: _Scene) -> Outcome:
    poses = stacked(poses_by_name(result.reconstruction()), scene.names)
    steps = [Step(s.name, s.key, s.seconds, s.cached) for s in result.report.stages]
    return Outcome(poses[None], steps, result.report.line)


def _one_camera(images: Path) -> bool:
    """Whether our own reconstruction takes all photographs to be of one camera."""
    frames = []
    for file in discover(images):
        with suppress(InputError):  # such a photograph is left out
            frames.append(read_frame(file))
    return len({frame.camera_key for frame in with_shared_cameras(frames, "exif")}) <= 1


def _gpu_peak_mb() -> float | None:
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
