"""Hard sets chosen from real photographs whose cameras are known."""

from __future__ import annotations

import shutil
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm._files import replacing_folder
from vggt_sfm.benchmarks.rendered_photographs import write_truth
from vggt_sfm.benchmarks.rescue.photos import images_folder, truth_folder
from vggt_sfm.io.colmap import read_sparse


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSet:
    """Some of the photographs of one or several scenes."""

    name: str
    why: str
    """What is hard about it."""
    chosen: tuple[tuple[str, slice], ...]
    """Scenes, and which of their photographs in order of names."""

    def write(self, folder: Path, data: Path) -> None:
        """Copy the photographs under shuffled names, with a COLMAP model of every scene.

        Raises:
            InputError: If a scene is missing in ``data``.
        """
        scenes = [_photographs(data / scene)[kept] for scene, kept in self.chosen]
        numbers = iter(np.random.default_rng(0).permutation(sum(map(len, scenes))))
        with replacing_folder(folder) as fresh:
            images_folder(fresh).mkdir()
            for k, photographs in enumerate(scenes):
                names = [f"{next(numbers):02d}{each.file.suffix}" for each in photographs]
                for name, each in zip(names, photographs, strict=True):
                    shutil.copyfile(each.file, images_folder(fresh) / name)
                write_truth(
                    truth_folder(fresh, k),
                    names,
                    [each.lens for each in photographs],
                    np.stack([each.cam_from_world for each in photographs]),
                )


class _Photograph(NamedTuple):
    file: Path
    lens: pycolmap.Camera
    cam_from_world: Float64  # (3, 4)


def _photographs(scene: Path) -> list[_Photograph]:
    """Return the photographs of a scene that have a true camera, in order of names."""
    model = read_sparse(truth_folder(scene))
    return [
        _Photograph(
            file=images_folder(scene) / image.name,
            lens=copy(model.cameras[image.camera_id]),
            cam_from_world=image.cam_from_world().matrix(),
        )
        for image in sorted(model.images.values(), key=lambda image: str(image.name))
    ]


_ALL = (
    RealSet(
        name="real_two_sets",
        why="11 photographs of a fountain and 8 of a portal",
        chosen=(("fountain-P11", slice(None)), ("Herz-Jesus-P8", slice(None))),
    ),
    RealSet(
        name="real_two_halves",
        why="every 2nd of them",
        chosen=(("fountain-P11", slice(0, None, 2)), ("Herz-Jesus-P8", slice(0, None, 2))),
    ),
    RealSet(
        name="real_third",
        why="every 3rd of the fountain; control, a plain run finds it",
        chosen=(("fountain-P11", slice(0, None, 3)),),
    ),
)
REAL_SETS: dict[str, RealSet] = {each.name: each for each in _ALL}
