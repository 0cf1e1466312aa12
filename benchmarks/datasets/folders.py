"""A folder of scenes of the user's: ``<scene>/images/`` and ``<scene>/gt/``, a COLMAP model.

``gt/<pair>/`` with a model each makes every pair a scene of two views; without ``gt/`` a scene has
no ground truth. Photographs that the model does not hold take no part.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vggt_sfm.benchmarks.datasets.bags import Bag, Rules, Truth, required
from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import poses_by_name, read_sparse
from vggt_sfm.io.images import discover, natural_key

_IMAGES, _TRUTH = "images", "gt"


class Folders:
    """Scenes side by side in a folder, or the folder itself as the only one."""

    name = "poses"
    source = "you: a folder of scenes, each with images/ and, for scores, gt/ (a COLMAP model)"
    rules = Rules(
        frames="all photographs that have a true camera, by name",
        area="auc_exact",
        thresholds=(1, 3, 5, 10, 30),
        averaged_over="set",
        fast_images=10,
    )

    def __init__(self, root: Path) -> None:
        """Read nothing yet."""
        self._root = root

    def bags(self, rng: np.random.Generator) -> list[Bag]:
        """List all scenes in the order of their names; nothing is drawn."""
        scenes = sorted(p for p in self._root.iterdir() if (p / _IMAGES).is_dir())
        if not scenes:
            required(self._root / _IMAGES, self.source)
            scenes = [self._root]
        return [bag for scene in scenes for bag in self._of_scene(scene)]

    def _of_scene(self, scene: Path) -> list[Bag]:
        models = _models(scene)
        if not models:
            photographs = discover(scene / _IMAGES)
            return [self._bag(scene, scene.name, [str(p.path) for p in photographs])]
        several = models != [scene / _TRUTH]
        found = []
        for model in models:
            name = f"{scene.name}/{model.name}" if several else scene.name
            try:
                names = sorted(poses_by_name(read_sparse(model)), key=natural_key)
            except InputError:  # told where the truth is read: one bad scene must not end a run
                names = [photograph.name for photograph in discover(scene / _IMAGES)]
            found.append(self._bag(scene, name, [str(scene / _IMAGES / n) for n in names]))
        return found

    def _bag(self, scene: Path, name: str, images: list[str]) -> Bag:
        return Bag(
            name=name,
            images=tuple(str(Path(image).relative_to(self._root)) for image in images),
            groups=(("set", scene.name),),
        )

    def truth(self, bag: Bag) -> Truth | None:
        """Read the model of a scene."""
        scene, _, pair = bag.name.partition("/")
        folder = self._root / scene if (self._root / scene).is_dir() else self._root
        if not (folder / _TRUTH).is_dir():
            return None
        model = read_sparse(folder / _TRUTH / pair)
        poses = poses_by_name(model)
        names = [str((self._root / i).relative_to(folder / _IMAGES)) for i in bag.images]
        missing = [name for name in names if name not in poses]
        if missing:
            raise InputError(f"{folder / _TRUTH}: no pose of {missing[0]}")
        cameras = {image.name: image.camera for image in model.images.values()}
        return Truth(
            cam_from_world=np.stack([poses[name] for name in names]),
            intrinsics=np.stack([cameras[name].calibration_matrix() for name in names]),
        )


def _models(scene: Path) -> list[Path]:
    """Return the folder of the scene's model, or those of its pairs; none without ground truth."""
    folder = scene / _TRUTH
    if not folder.is_dir():
        return []
    pairs = sorted(p for p in folder.iterdir() if p.is_dir())
    return pairs or [folder]
