"""Rows of the novel-view benchmark: measured, kept line by line, put into a table and a picture."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from vggt_sfm._checks import Float32
from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.splat_cameras import FOLDERS, WAYS, Cameras
from vggt_sfm.benchmarks.splat_scene import held_out, registered, scene_of
from vggt_sfm.benchmarks.splat_train import TrainConfig, drawn_views, psnr, train
from vggt_sfm.io.plain import from_plain, to_plain

TITLES = (
    "scene",
    "cameras",
    "registered",
    "test PSNR dB",
    "train PSNR dB",
    "iterations",
    "CPU s",
)
PHOTOGRAPHED, DRAWN = "photographed", "drawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a row depends on, besides scene, way and seed."""

    first: int = 4
    """Index of the first view that is held out, of every 8. With 0, as is usual, that is an end of
    a short capture, of which no other view shows enough for the controls to notice anything."""
    long_side: int = 240
    """Of the photographs, px."""
    training: TrainConfig = field(default_factory=TrainConfig)
    renderer: str = "torch"
    """``gsplat`` where that is there."""
    version: int = 1
    """To be raised when code changes what a row means."""

    @property
    def key(self) -> str:
        """A name for a folder of what was made with these settings."""
        told = json.dumps(to_plain(self), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the cameras of one way gave in one scene, with one seed."""

    scene: str
    way: str
    seed: int
    registered: int
    photographs: int
    test: dict[str, float]
    """PSNR of every held-out view that was registered, dB."""
    missing: tuple[str, ...]
    """Held-out views that were not."""
    train: float | None
    """Mean PSNR of the training views, dB; None: there was nothing to train on."""
    seconds: float
    """CPU seconds of the training."""


class Log:
    """Rows of one set of settings, in a file that grows by lines."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Read what is there; the file may hold rows of other settings."""
        self._path = path
        self._settings = to_plain(settings)
        self.rows: list[Row] = []
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                plain = json.loads(line)
            except ValueError:  # the end of a run that was killed
                continue
            if plain.pop("settings") == self._settings:
                self.rows.append(from_plain(Row, plain, "row"))

    def find(self, scene: str, way: str, seed: int) -> Row | None:
        """Return a row, if it is there."""
        wanted = (scene, way, seed)
        return next((r for r in self.rows if (r.scene, r.way, r.seed) == wanted), None)

    def add(self, row: Row) -> None:
        """Keep a row."""
        self.rows.append(row)
        with self._path.open("a") as file:
            file.write(json.dumps({**to_plain(row), "settings": self._settings}) + "\n")


def measure(
    cameras: Cameras | None,
    photographs: dict[str, Path],
    settings: Settings,
    *,
    scene: str,
    way: str,
    seed: int,
    pictures: Path,
) -> Row:
    """Train with the cameras of one way and measure the held-out views.

    Args:
        cameras: Of the way; None if it made no model.
        photographs: Files by name, all of the scene.
        settings: Of photographs and training.
        scene: Its name, for the row.
        way: Its name, for the row.
        seed: Of the training.
        pictures: Folder for the held-out views as photographed and as drawn.
    """
    wanted = held_out(list(photographs), settings.first)
    images = {} if cameras is None else registered(cameras.model)
    row = Row(
        scene=scene,
        way=way,
        seed=seed,
        registered=len(images),
        photographs=len(photographs),
        test={},
        missing=tuple(name for name in wanted if name not in images),
        train=None,
        seconds=0.0,
    )
    if cameras is None:
        return row
    split = scene_of(
        cameras.model, photographs, settings.long_side, first=settings.first, poses=cameras.poses
    )
    began = time.process_time()  # of this process: others may be busy beside it
    gaussians = train(split, settings.training, seed)
    seconds = time.process_time() - began
    drawn = drawn_views(gaussians, split.test, settings.training)
    for view, image in zip(split.test, drawn, strict=True):
        _save(picture_file(pictures, way, seed, view.name, PHOTOGRAPHED), view.image)
        _save(picture_file(pictures, way, seed, view.name, DRAWN), image)
    again = drawn_views(gaussians, split.train, settings.training)
    of_train = [psnr(image, view) for view, image in zip(split.train, again, strict=True)]
    of_test = {
        view.name: round(psnr(image, view), 3)
        for view, image in zip(split.test, drawn, strict=True)
    }
    return replace(row, test=of_test, train=round(float(np.mean(of_train)), 3), seconds=seconds)


def picture_file(folder: Path, way: str, seed: int, name: str, kind: str) -> Path:
    """Where a held-out view lies, as it was photographed (and undistorted) or drawn."""
    return folder / f"{FOLDERS[way]}-{seed}" / f"{Path(name).stem}_{kind}.png"


def _save(path: Path, image: Float32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((image * 255).round().astype(np.uint8)).save(path)


def common_views(rows: Sequence[Row], scene: str) -> list[str]:
    """Return the held-out views of a scene that every way that made a model has registered."""
    mine = [set(row.test) for row in rows if row.scene == scene and row.test]
    return sorted(set.intersection(*mine)) if mine else []


def held_out_psnr(rows: Sequence[Row], scene: str, way: str) -> list[float]:
    """Return for each seed the mean PSNR over the held-out views that all ways have, dB."""
    views = common_views(rows, scene)
    mine = [row for row in rows if (row.scene, row.way) == (scene, way)]
    return [float(np.mean([row.test[view] for view in views])) for row in mine if row.test]


def table(rows: Sequence[Row], settings: Settings) -> str:
    """Return a row for every scene and way: means over the seeds, ± half of their range."""
    lines = []
    for scene in dict.fromkeys(row.scene for row in rows):
        for way in (way for way in WAYS if any((r.scene, r.way) == (scene, way) for r in rows)):
            mine = [row for row in rows if (row.scene, row.way) == (scene, way)]
            missing = mine[0].missing
            trained = [row.train for row in mine if row.train is not None]
            lines.append(
                [
                    scene,
                    way,
                    f"{mine[0].registered}/{mine[0].photographs}"
                    + (f", not {', '.join(missing)}" if missing else ""),
                    _spread(held_out_psnr(rows, scene, way)),
                    _spread(trained),
                    str(settings.training.iterations),
                    f"{np.mean([row.seconds for row in mine]):.0f}",
                ]
            )
    return markdown.table(TITLES, lines)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{np.mean(values):.2f} ± {(max(values) - min(values)) / 2:.2f}"
