"""A folder of scenes of the user's: ``<scene>/images/`` and ``<scene>/gt/``, a COLMAP model.

Scenes may stand in folders of their own, ``<set>/<scene>/``, whose figures are pooled.
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
    """Scenes, or sets of scenes, side by side in a folder; or the folder itself as the only one."""

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
        return [bag for scene in self._scenes() for bag in self._of_scene(scene)]

    def _scenes(self) -> list[Path]:
        if _is_scene(self._root):
            return [self._root]
        scenes = []
        for folder in filter(Path.is_dir, self._root.iterdir()):
            # what lies inside a scene, such as COLMAP's dense/images, is no scene
            inside = [folder] if _is_scene(folder) else folder.iterdir()
            scenes += [each for each in inside if _is_scene(each)]
        if not scenes:
            required(self._root / _IMAGES, self.source)
        return sorted(scenes, key=lambda scene: natural_key(str(scene)))

    def _of_scene(self, scene: Path) -> list[Bag]:
        found = []
        for model in _models(scene):
            try:
                names = sorted(poses_by_name(read_sparse(model)), key=natural_key) if model else []
            except InputError:  # told where the truth is read: one bad scene must not end a run
                names = []
            pair = model.name if model not in (None, scene / _TRUTH) else ""
            found.append(self._bag(scene, pair, names or _photographs(scene)))
        return found

    def _bag(self, scene: Path, pair: str, names: list[str]) -> Bag:
        at_root = scene == self._root
        name = self._root.absolute().name if at_root else str(scene.relative_to(self._root))
        images = (scene / _IMAGES / image for image in names)
        return Bag(
            name=f"{name}/{pair}" if pair else name,
            images=tuple(str(image.relative_to(self._root)) for image in images),
            groups=(("set", name.partition("/")[0]),),
        )

    def truth(self, bag: Bag) -> Truth | None:
        """Read the model of a scene."""
        scene, pair = self._place(bag.name)
        if not (scene / _TRUTH).is_dir():
            return None
        model = read_sparse(scene / _TRUTH / pair)
        poses = poses_by_name(model)
        names = [str((self._root / i).relative_to(scene / _IMAGES)) for i in bag.images]
        missing = [name for name in names if name not in poses]
        if missing:
            raise InputError(f"{scene / _TRUTH}: no pose of {missing[0]}")
        cameras = {image.name: image.camera for image in model.images.values()}
        return Truth(
            cam_from_world=np.stack([poses[name] for name in names]),
            intrinsics=np.stack([cameras[name].calibration_matrix() for name in names]),
        )

    def _place(self, name: str) -> tuple[Path, str]:
        """Return the folder of a bag's scene, and the name of its pair if it has one."""
        if _is_scene(self._root):
            return self._root, name.partition("/")[2]
        place = self._root / name
        return (place, "") if _is_scene(place) else (place.parent, place.name)


def _is_scene(folder: Path) -> bool:
    return (folder / _IMAGES).is_dir()


def _models(scene: Path) -> list[Path | None]:
    """Return the folder of the scene's model, or those of its pairs; None without ground truth."""
    folder = scene / _TRUTH
    if not folder.is_dir():
        return [None]
    pairs = sorted(p for p in folder.iterdir() if p.is_dir())
    return list(pairs) or [folder]


def _photographs(scene: Path) -> list[str]:
    """List all photographs; an empty folder is a bag that fails, not the end of a run."""
    try:
        return [photograph.name for photograph in discover(scene / _IMAGES)]
    except InputError:
        return []
