"""The phototourism test scenes of the Image Matching Challenge 2021.

Official layout, in ``<scene>/set_100``: ``images/*.jpg``, ``sub_set/<size>bag_<number>.txt`` with
one image a line, and ``calibration/calibration_<image>.h5`` with K, R and T, world to camera.
Protocol: every bag of 5, 10 and 25 photographs, in the order of their names. How the published
figures were averaged is not known, so pooled ones stand beside those of each bag size, each scene,
and each scene and bag size (whose mean up to 10° is the challenge's own figure).
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.datasets.bags import Bag, Rules, Truth, present, required
from vggt_sfm.errors import InputError

SCENES = (
    "british_museum",
    "florence_cathedral_side",
    "lincoln_memorial_statue",
    "london_bridge",
    "milan_cathedral",
    "mount_rushmore",
    "piazza_san_marco",
    "sagrada_familia",
    "st_pauls_cathedral",
)
_SET = "set_100"
_BAG = re.compile(r"(\d+)bag_(\d+)")


class Imc:
    """The bags of all scenes that are on disk."""

    name = "imc"
    source = "https://www.cs.ubc.ca/~kmyi/imw2020/data.html (phototourism, test ground truth)"
    rules = Rules(
        frames="all bags of 5, 10 and 25 photographs, by name",
        area="auc_histogram",
        thresholds=(3, 5, 10),
    )

    def __init__(self, root: Path) -> None:
        """Read nothing yet; ``root`` holds a folder a scene."""
        self._root = root

    def bags(self, rng: np.random.Generator) -> list[Bag]:
        """List the published bags; nothing is drawn."""
        scenes = present(self._root, SCENES, self.source)
        return [bag for scene in scenes for bag in self._of_scene(scene)]

    def _of_scene(self, scene: str) -> list[Bag]:
        folder = self._root / scene / _SET
        lists = sorted(required(folder / "sub_set", self.source).glob("*bag_*.txt"))
        found = []
        for path in lists:
            match = _BAG.fullmatch(path.stem)
            if match is None:
                continue
            names = sorted(Path(line).name for line in path.read_text().split())
            images = [folder / "images" / name for name in names]
            found.append(
                Bag(
                    name=f"{scene}/{path.stem}",
                    images=tuple(str(image.relative_to(self._root)) for image in images),
                    groups=(
                        ("bag size", match[1]),
                        ("scene", scene),
                        ("scene and bag size", f"{scene} {match[1]}"),
                    ),
                )
            )
        return found

    def truth(self, bag: Bag) -> Truth:
        """Read the cameras of a bag."""
        poses = []
        for image in bag.images:
            path = self._root / image
            calibration = path.parents[1] / "calibration" / f"calibration_{path.stem}.h5"
            poses.append(_pose(required(calibration, self.source)))
        return Truth(cam_from_world=np.stack(poses))


def _pose(path: Path) -> Float64:
    try:
        with h5py.File(path) as file:
            R, T = np.asarray(file["R"], np.float64), np.asarray(file["T"], np.float64)
            return np.column_stack([R.reshape(3, 3), T.reshape(3)])
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: no camera can be read: {error}") from error
