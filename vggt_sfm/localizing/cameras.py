"""The cameras that a new photograph may have been taken with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pycolmap

from vggt_sfm.localizing.poses import Lens
from vggt_sfm.scene import Frame, Size

_MODEL = "SIMPLE_RADIAL"  # COLMAP's, where nothing is known
_USUAL_FOCAL = 1.2  # longer sides; COLMAP's


class _Key(NamedTuple):
    """What photographs of one camera share."""

    size: Size  # as the model's cameras see it, px
    words: str  # maker, model and focal lengths from EXIF; empty where the file does not say


class Cameras:
    """Cameras by what their photographs share: the model's, then those of new photographs."""

    def __init__(
        self, model: pycolmap.Reconstruction, old: Mapping[int, Frame], new: Sequence[Frame]
    ) -> None:
        """Sort the cameras of a model.

        Args:
            model: The model.
            old: Its photographs by image id.
            new: Those that are to be registered.
        """
        self._known: dict[_Key, dict[int, pycolmap.Camera]] = {}
        self._mixed = _of_several_shapes(old.values())
        for image_id, frame in sorted(old.items()):
            self.add(frame, model.camera(model.image(image_id).camera_id))
        self._mixed = _of_several_shapes(new)

    def add(self, frame: Frame, camera: pycolmap.Camera) -> None:
        """Remember the camera of a photograph that has a pose.

        Photographs of several sizes that do not name their camera are of one camera each, as in
        ``reconstruct``.
        """
        key = _key(frame)
        if key.words or not self._mixed:
            self._known.setdefault(key, {})[camera.camera_id] = camera

    def lenses(self, frame: Frame) -> list[Lens]:
        """Return what a photograph may have been taken with, the likeliest first.

        The camera that all known photographs of its size and EXIF camera share, as it is; then a
        camera of its own, from the focal length that several such cameras or EXIF tell, and at
        last from none.
        """
        alike = list(self._known.get(_key(frame), {}).values())
        lenses = [Lens(camera=alike[0], refine=False)] if len(alike) == 1 else []
        prior = frame.focal_prior_px
        if len(alike) > 1:
            prior = float(np.median([camera.mean_focal_length() for camera in alike]))
        if prior is not None:
            lenses.append(Lens(camera=_own(frame.size, prior), refine=True))
        guess = _own(frame.size, _USUAL_FOCAL * max(frame.size))
        return [*lenses, Lens(camera=guess, refine=True, estimate_focal=True)]


def _key(frame: Frame) -> _Key:
    return _Key(frame.size, frame.camera_key.partition(" ")[2])  # it begins with the upright size


def _of_several_shapes(frames: Iterable[Frame]) -> bool:
    """Tell whether photographs that do not name their camera differ in size, however turned."""
    return len({tuple(sorted(frame.size)) for frame in frames if not _key(frame).words}) > 1


def _own(size: Size, focal_px: float) -> pycolmap.Camera:
    params = [focal_px, size.width / 2, size.height / 2, 0.0]
    return pycolmap.Camera(model=_MODEL, width=size.width, height=size.height, params=params)
