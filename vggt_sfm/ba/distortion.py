"""Terms for distortion in cameras that have none, as long as photographs may show some."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pycolmap

from vggt_sfm.ba.bundle import Bundle
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.ba.knowledge import Knowledge

# What a camera model becomes, and by how many terms: where distortion may be, and where it is asked
# for.
_WIDER = {pycolmap.CameraModelId.SIMPLE_PINHOLE: ("SIMPLE_RADIAL", 1)}
_WIDER_IF_ASKED = {**_WIDER, pycolmap.CameraModelId.PINHOLE: ("OPENCV", 4)}


def with_distortion(bundle: Bundle, config: BundleConfig, knowledge: Knowledge) -> Bundle:
    """Give pinhole cameras terms of zero where the photographs may be distorted.

    Cameras of which a user knows the intrinsics keep their model, and so do those of two focal
    lengths unless distortion is asked for.
    """
    if config.refine_distortion == "no":
        return bundle
    wider = _WIDER_IF_ASKED if config.refine_distortion == "yes" else _WIDER
    known = [knowledge.camera_of(name) is not None for name in bundle.names]
    keep = np.unique(bundle.camera_of[np.array(known, bool)])
    cameras = []
    for row, camera in enumerate(bundle.cameras):
        if camera.model in wider and row not in keep:
            model, count = wider[camera.model]
            values = {"model": model, "params": [*camera.params, *[0.0] * count]}
            camera = pycolmap.Camera({**camera.todict(), **values})
        cameras.append(camera)
    return replace(bundle, cameras=tuple(cameras))


def without_zero_distortion(bundle: Bundle, like: Bundle) -> Bundle:
    """Undo :func:`with_distortion` where the radial term stayed zero."""
    cameras = [
        pycolmap.Camera({**old.todict(), "params": new.params[: len(old.params)]})
        if new.model != old.model and not new.params[len(old.params) :].any()
        else new
        for new, old in zip(bundle.cameras, like.cameras, strict=True)
    ]
    return replace(bundle, cameras=tuple(cameras))
