"""Common Objects in 3D, version 2: turns around objects of 41 categories.

Official layout, a folder a category: ``frame_annotations.jgz`` and ``sequence_annotations.jgz``
(gzipped JSON lists), ``set_lists/set_lists_fewview_dev.json`` and the images. Cameras are
PyTorch3D's: row vectors, x to the left and y up.
Protocol: sequences of the test split with a viewpoint quality above 0.5 and at least 50 frames, in
the order of their names; ten frames each, drawn at random. An AUC a category, then their mean
(Wang et al., "PoseDiffusion", ICCV 2023; Wang et al., "VGGT", CVPR 2025).
"""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.datasets.bags import Bag, Rules, Truth, draw, present, required
from vggt_sfm.errors import InputError

# fmt: off
CATEGORIES = (
    "apple", "backpack", "banana", "baseballbat", "baseballglove", "bench", "bicycle", "bottle",
    "bowl", "broccoli", "cake", "car", "carrot", "cellphone", "chair", "cup", "donut", "hairdryer",
    "handbag", "hydrant", "keyboard", "laptop", "microwave", "motorcycle", "mouse", "orange",
    "parkingmeter", "pizza", "plant", "stopsign", "teddybear", "toaster", "toilet", "toybus",
    "toyplane", "toytrain", "toytruck", "tv", "umbrella", "vase", "wineglass",
)
# fmt: on
_FRAMES = 10
_LEAST_FRAMES = 50
_LEAST_QUALITY = 0.5
_FARTHEST = 1e5  # sum of a translation's parts: beyond, COLMAP had failed
_SET_LIST = Path("set_lists") / "set_lists_fewview_dev.json"
_OPENCV_FROM_PYTORCH3D = np.diag([-1.0, -1.0, 1.0])


class Co3d:
    """The test sequences of all categories that are on disk."""

    name = "co3d"
    source = "https://github.com/facebookresearch/co3d (version 2)"
    rules = Rules(
        frames="test sequences of fewview_dev, quality above 0.5, 50 frames or more; 10 at random, "
        "the first drawn is the reference",
        area="auc_histogram",
        thresholds=(3, 5, 15, 30),
        averaged_over="category",
    )

    def __init__(self, root: Path) -> None:
        """Read nothing yet; ``root`` holds a folder a category."""
        self._root = root

    def bags(self, rng: np.random.Generator) -> list[Bag]:
        """Draw ten frames of every test sequence."""
        categories = present(self._root, CATEGORIES, self.source)
        return [bag for name in categories for bag in self._of_category(name, rng)]

    def _of_category(self, category: str, rng: np.random.Generator) -> list[Bag]:
        folder = self._root / category
        sequences = _read(required(folder / "sequence_annotations.jgz", self.source))
        quality = {s["sequence_name"]: s.get("viewpoint_quality_score") for s in sequences}
        test = _read(required(folder / _SET_LIST, self.source))["test"]
        cameras = _cameras(required(folder / "frame_annotations.jgz", self.source))
        images: dict[str, list[str]] = {}
        for sequence, _, path in sorted(test, key=lambda entry: (entry[0], entry[1])):
            if (quality.get(sequence) or 0.0) > _LEAST_QUALITY and path in cameras:
                images.setdefault(sequence, []).append(path)
        return [
            Bag(
                name=f"{category}/{sequence}",
                images=tuple(draw(paths, _FRAMES, rng)),
                groups=(("category", category),),
            )
            for sequence, paths in images.items()
            if len(paths) >= _LEAST_FRAMES
            and all(abs(cameras[path][:, 3].sum()) <= _FARTHEST for path in paths)
        ]

    def truth(self, bag: Bag) -> Truth:
        """Read the cameras of a sequence."""
        annotations = self._root / bag.name.partition("/")[0] / "frame_annotations.jgz"
        cameras = _cameras(required(annotations, self.source))
        missing = [image for image in bag.images if image not in cameras]
        if missing:
            raise InputError(f"{annotations}: no camera of {missing[0]}")
        return Truth(cam_from_world=np.stack([cameras[image] for image in bag.images]))


@lru_cache(maxsize=1)
def _cameras(annotations: Path) -> dict[str, Float64]:
    """Read (3, 4) cam_from_world of OpenCV's axes by image path, where there is one."""
    cameras = {}
    for frame in _read(annotations):
        viewpoint = frame.get("viewpoint")
        if viewpoint is None:
            continue
        # PyTorch3D: x_cam = x_world R + T, with x to the left and y up
        R, T = np.array(viewpoint["R"], np.float64), np.array(viewpoint["T"], np.float64)
        pose = _OPENCV_FROM_PYTORCH3D @ np.column_stack([R.T, T])
        if np.isfinite(pose).all():
            cameras[frame["image"]["path"]] = pose
    return cameras


def _read(path: Path) -> Any:
    """Read JSON, gzipped or not.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        content = path.read_bytes()
        return json.loads(gzip.decompress(content) if path.suffix == ".jgz" else content)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
