"""A radial term for cameras that have none, as long as photographs may show one."""

from __future__ import annotations

from dataclasses import replace

import pycolmap

from vggt_sfm.ba.bundle import Bundle
from vggt_sfm.ba.config import BundleConfig


def with_distortion(bundle: Bundle, config: BundleConfig) -> Bundle:
    """Give simple pinhole cameras a radial term of zero where the photographs may have one."""
    if config.refine_distortion == "no":
        return bundle
    cameras = []
    for camera in bundle.cameras:
        if camera.model == pycolmap.CameraModelId.SIMPLE_PINHOLE:
            radial = pycolmap.Camera(
                model="SIMPLE_RADIAL",
                width=camera.width,
                height=camera.height,
                params=[*camera.params, 0.0],
            )
            radial.has_prior_focal_length = camera.has_prior_focal_length
            cameras.append(radial)
        else:
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
