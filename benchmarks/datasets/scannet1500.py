"""ScanNet-1500: pairs of frames of rooms, far apart.

Layout of SuperGlue's and LoFTR's test: ``test.npz`` with ``name`` (scene, its scan, frame A,
frame B) and ``rel_pose`` (camera B from camera A, 3 × 4), ``intrinsics.npz`` with K a scene, and
``scannet_test_1500/scene0707_00/color/15.jpg``. Protocol: each pair is a bag.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from vggt_sfm.benchmarks.datasets.bags import Bag, Rules, Truth, required
from vggt_sfm.training.arrays import load_arrays

_IMAGES = "scannet_test_1500"
_CORNER_FROM_CENTRE = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # of pixel origins, px


class Scannet1500:
    """The pairs."""

    name = "scannet1500"
    source = "https://github.com/zju3dv/LoFTR (docs/TRAINING.md, test set; ScanNet's terms)"
    rules = Rules(
        frames="1500 pairs of frames, each alone",
        area="auc_exact_folded",
        thresholds=(5, 10, 20),
    )

    def __init__(self, root: Path) -> None:
        """Read nothing yet; ``root`` holds ``test.npz``, ``intrinsics.npz`` and the images."""
        self._root = root

    def bags(self, rng: np.random.Generator) -> list[Bag]:
        """List the pairs; nothing is drawn."""
        required(self._root / _IMAGES, self.source)
        found = []
        for number, (scene, scan, *frames) in enumerate(self._pairs["name"].tolist()):
            folder = f"{_IMAGES}/scene{scene:04d}_{scan:02d}/color"
            images = tuple(f"{folder}/{frame}.jpg" for frame in frames)
            found.append(Bag(name=f"pair {number:04d}", images=images))
        return found

    def truth(self, bag: Bag) -> Truth:
        """Read the relative pose and both intrinsics of a pair."""
        number = int(bag.name.split()[1])
        second = np.reshape(self._pairs["rel_pose"][number], (3, 4)).astype(np.float64)
        scene = Path(bag.images[0]).parts[1]
        path = required(self._root / "intrinsics.npz", self.source)
        K = load_arrays(path, [scene], "intrinsics of scenes")[scene].astype(np.float64)
        K = K[:3, :3] + _CORNER_FROM_CENTRE
        return Truth(cam_from_world=np.stack([np.eye(3, 4), second]), intrinsics=np.stack([K, K]))

    @cached_property
    def _pairs(self) -> dict[str, np.ndarray]:
        path = required(self._root / "test.npz", self.source)
        return load_arrays(path, ["name", "rel_pose"], "pairs of ScanNet-1500")
