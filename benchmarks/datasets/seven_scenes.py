"""7-Scenes: RGB-D sequences of rooms, tracked with KinectFusion.

Official layout: ``<scene>/TestSplit.txt`` (lines such as ``sequence3``), and for each sequence
``<scene>/seq-03/frame-000000.color.png`` and ``.pose.txt``, 4 × 4 camera to world. The poses are
those of the depth camera. Protocol: every 200th frame of each test sequence, or every 40th.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.datasets.bags import Bag, Rules, Truth, present, required
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert

SCENES = ("chess", "fire", "heads", "office", "pumpkin", "redkitchen", "stairs")
_COLOR, _POSE = ".color.png", ".pose.txt"


class SevenScenes:
    """The test sequences of all scenes that are on disk."""

    name = "7scenes"
    source = "https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes"

    def __init__(self, root: Path, stride: int = 40) -> None:
        """Read nothing yet; ``root`` holds a folder a scene, of whose frames each nth counts."""
        self._root = root
        self._stride = stride
        self.rules = Rules(
            frames=f"every {stride}th frame of each test sequence",
            area="auc_histogram",
            thresholds=(3, 30),
            fast_images=10,
        )

    def bags(self, rng: np.random.Generator) -> list[Bag]:
        """List every nth frame of the test sequences; nothing is drawn."""
        scenes = present(self._root, SCENES, self.source)
        return [bag for scene in scenes for bag in self._of_scene(scene)]

    def _of_scene(self, scene: str) -> list[Bag]:
        split = required(self._root / scene / "TestSplit.txt", self.source)
        found = []
        for number in re.findall(r"\d+", split.read_text()):
            folder = required(self._root / scene / f"seq-{int(number):02d}", self.source)
            frames = sorted(folder.glob(f"frame-*{_COLOR}"))[:: self._stride]
            if len(frames) < 2:
                raise InputError(f"{folder}: fewer than two frames at a stride of {self._stride}")
            images = tuple(str(frame.relative_to(self._root)) for frame in frames)
            name = f"{scene}/{folder.name}"
            found.append(Bag(name=name, images=images, groups=(("scene", scene),)))
        return found

    def truth(self, bag: Bag) -> Truth:
        """Read the cameras of a sequence."""
        files = [self._root / image.replace(_COLOR, _POSE) for image in bag.images]
        return Truth(cam_from_world=np.stack([_pose(required(f, self.source)) for f in files]))


def _pose(path: Path) -> Float64:
    try:
        world_from_cam = np.array(path.read_text().split(), np.float64).reshape(4, 4)
    except ValueError as error:
        raise InputError(f"{path}: not a 4 × 4 matrix: {error}") from error
    return invert(world_from_cam[:3])
