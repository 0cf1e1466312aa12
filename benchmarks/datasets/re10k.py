"""RealEstate10K: camera paths through houses, of videos that users fetch themselves.

Official annotations: a text file a video; after its address, a line a frame: timestamp (µs), fx,
fy, cx, cy in parts of width and height, two zeros, and the 3 × 4 world-to-camera matrix.
Frames are not distributed. They are expected as ``frames/test/<id>/<timestamp>.png`` or ``.jpg``.
Protocol: ten frames at random of each test video (Wang et al., "VGGT", CVPR 2025).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.datasets.bags import Bag, Rules, Truth, draw, required
from vggt_sfm.errors import InputError

_FRAMES = 10
_FIELDS = 19
_ENDINGS = (".png", ".jpg")


class Re10k:
    """RealEstate10K's test videos, as far as their frames are on disk."""

    name = "re10k"
    source = "https://google.github.io/realestate10k (annotations; extract the frames)"
    rules = Rules(
        frames="10 at random of each test video whose frames are there, in the order of the draw",
        area="auc_histogram",
        thresholds=(30,),
    )

    def __init__(self, root: Path) -> None:
        """Read nothing yet; ``root`` holds ``test/*.txt`` and ``frames/test/``."""
        self._root = root

    def bags(self, rng: np.random.Generator) -> list[Bag]:
        """Draw ten frames of every video of which two or more frames are there."""
        annotations = required(self._root / "test", self.source)
        frames = required(self._root / "frames" / "test", self.source)
        found = []
        for path in sorted(annotations.glob("*.txt")):
            images = [i for stamp in _poses(path) for i in self._images(frames, path.stem, stamp)]
            if len(images) >= 2:
                found.append(Bag(name=path.stem, images=tuple(draw(images, _FRAMES, rng))))
        if not found:
            raise InputError(f"{frames}: no video has two frames that {annotations} describes")
        return found

    def truth(self, bag: Bag) -> Truth:
        """Read the cameras of a video."""
        poses = _poses(required(self._root / "test" / f"{bag.name}.txt", self.source))
        return Truth(cam_from_world=np.stack([poses[Path(image).stem] for image in bag.images]))

    def _images(self, frames: Path, video: str, stamp: str) -> list[str]:
        files = [frames / video / f"{stamp}{ending}" for ending in _ENDINGS]
        return [str(file.relative_to(self._root)) for file in files if file.exists()][:1]


def _poses(path: Path) -> dict[str, Float64]:
    """Read (3, 4) cam_from_world by timestamp.

    Raises:
        InputError: If a line is not of 19 numbers.
    """
    poses = {}
    for number, line in enumerate(path.read_text().splitlines()[1:], 2):
        words = line.split()
        if not words:
            continue
        try:
            pose = np.array([float(word) for word in words[7:]]).reshape(3, 4)
        except ValueError:
            pose = np.full((3, 4), np.nan)
        if len(words) != _FIELDS or not np.isfinite(pose).all():
            raise InputError(f"{path}, line {number}: not {_FIELDS} numbers of a camera")
        poses[words[0]] = pose
    return poses
