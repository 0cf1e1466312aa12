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
from vggt_sfm.benchmarks.splats.cameras import (
    ADJUSTED,
    COMPARED,
    FEED_FORWARD,
    FOLDERS,
    TURNED,
    WAYS,
    Cameras,
)
from vggt_sfm.benchmarks.splats.scene import held_out, registered, scene_of
from vggt_sfm.benchmarks.splats.train import TrainConfig, drawn_views, psnr, train
from vggt_sfm.io.plain import from_plain, to_plain

TITLES = (
    "scene",
    "cameras",
    "registered",
    "held-out views",
    "test PSNR dB",
    "better than feed-forward; controls: than +BA",
    "train PSNR dB",
    "CPU s",
)
PHOTOGRAPHED, DRAWN = "photographed", "drawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a row depends on, besides scene, way and fold."""

    long_side: int = 240
    """Of the photographs, px."""
    training: TrainConfig = field(default_factory=TrainConfig)
    renderer: str = "torch"
    """``gsplat`` where that is there."""
    version: int = 2
    """To be raised when code changes what a row means."""

    @property
    def key(self) -> str:
        """A name for a folder of what was made with these settings."""
        told = json.dumps(to_plain(self), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the cameras of one way gave in one scene, with some views held out."""

    scene: str
    way: str
    fold: int
    """Index of the first view that was held out, of every 8; also the seed of the training."""
    registered: int
    photographs: int
    test: dict[str, float]
    """PSNR of every held-out view that was registered, dB; without the first and the last of the
    scene, which show much that no other view does."""
    missing: tuple[str, ...]
    """Those of these views that were not."""
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

    def find(self, scene: str, way: str, fold: int) -> Row | None:
        """Return a row, if it is there."""
        wanted = (scene, way, fold)
        return next((r for r in self.rows if (r.scene, r.way, r.fold) == wanted), None)

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
    fold: int,
    pictures: Path,
) -> Row:
    """Train with the cameras of one way and measure the held-out views.

    Args:
        cameras: Of the way; None if it made no model.
        photographs: Files by name, all of the scene.
        settings: Of photographs and training.
        scene: Its name, for the row.
        way: Its name, for the row.
        fold: Which views are held out.
        pictures: Folder for the held-out views as photographed and as drawn.
    """
    wanted = scored(list(photographs), fold)
    images = {} if cameras is None else registered(cameras.model)
    row = Row(
        scene=scene,
        way=way,
        fold=fold,
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
        cameras.model, photographs, settings.long_side, first=fold, poses=cameras.poses
    )
    began = time.process_time()  # of this process: others may be busy beside it
    gaussians = train(split, settings.training, fold)
    seconds = time.process_time() - began
    drawn = drawn_views(gaussians, split.test, settings.training)
    for view, image in zip(split.test, drawn, strict=True):
        _save(picture_file(pictures, way, fold, view.name, PHOTOGRAPHED), view.image)
        _save(picture_file(pictures, way, fold, view.name, DRAWN), image)
    again = drawn_views(gaussians, split.train, settings.training)
    of_train = [psnr(image, view) for view, image in zip(split.train, again, strict=True)]
    of_test = {
        view.name: round(psnr(image, view), 3)
        for view, image in zip(split.test, drawn, strict=True)
        if view.name in wanted
    }
    return replace(row, test=of_test, train=round(float(np.mean(of_train)), 3), seconds=seconds)


def scored(names: Sequence[str], fold: int) -> list[str]:
    """Return the held-out views that count: neither the first nor the last of all."""
    ends = (min(names), max(names))
    return [name for name in held_out(names, fold) if name not in ends]


def picture_file(folder: Path, way: str, fold: int, name: str, kind: str) -> Path:
    """Where a held-out view lies, as it was photographed (and undistorted) or drawn."""
    return folder / f"{FOLDERS[way]}-{fold}" / f"{Path(name).stem}_{kind}.png"


def _save(path: Path, image: Float32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((image * 255).round().astype(np.uint8)).save(path)


def held_out_psnr(rows: Sequence[Row], scene: str, way: str) -> dict[str, float]:
    """Return the PSNR of the held-out views of a way that every other way has too, dB.

    Ways that made no model do not count. Controls do not either, but for themselves: they are
    measured on fewer folds.
    """
    found = {name: _tests(rows, scene, name) for name in (*COMPARED, way)}
    views = set.intersection(*(set(test) for test in found.values() if test), set(found[way]))
    return {view: found[way][view] for view in sorted(views)}


def _tests(rows: Sequence[Row], scene: str, way: str) -> dict[str, float]:
    mine = [row for row in rows if (row.scene, row.way) == (scene, way)]
    return {view: value for row in mine for view, value in row.test.items()}


def gains(rows: Sequence[Row], scene: str, way: str, base: str) -> list[float]:
    """Return by how much each held-out view is better than with another way, dB."""
    mine, theirs = held_out_psnr(rows, scene, way), held_out_psnr(rows, scene, base)
    return [value - theirs[view] for view, value in mine.items() if view in theirs]


def table(rows: Sequence[Row]) -> str:
    """Return a row for every scene and way: means over the held-out views."""
    lines = []
    for scene in dict.fromkeys(row.scene for row in rows):
        for way in (way for way in WAYS if any((r.scene, r.way) == (scene, way) for r in rows)):
            mine = [row for row in rows if (row.scene, row.way) == (scene, way)]
            missing = sorted({name for row in mine for name in row.missing})
            trained = [row.train for row in mine if row.train is not None]
            tests = list(held_out_psnr(rows, scene, way).values())
            base = ADJUSTED if way in TURNED else FEED_FORWARD
            lines.append(
                [
                    scene,
                    way,
                    f"{mine[0].registered}/{mine[0].photographs}"
                    + (f", not {', '.join(missing)}" if missing else ""),
                    str(len(tests)),
                    _mean(tests),
                    _gain(gains(rows, scene, way, base)) if way != FEED_FORWARD else "",
                    _mean(trained),
                    f"{np.mean([row.seconds for row in mine]):.0f}",
                ]
            )
    return markdown.table(TITLES, lines)


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f}" if values else "–"


def _gain(values: Sequence[float]) -> str:
    """Write a mean with its standard error over the views."""
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:+.2f}"
    return f"{np.mean(values):+.2f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.2f}"
