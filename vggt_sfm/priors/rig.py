"""Cameras that are fixed to each other, from COLMAP's rig_config.json or a model's rigs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from vggt_sfm._log import get_logger
from vggt_sfm.ba.knowledge import KnownRig, KnownSensor, plain_pose
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import rotation_from_quat_xyzw
from vggt_sfm.io.rig_config import prefix_of, prefixes_in, read_rigs
from vggt_sfm.scene import Frame

_logger = get_logger(__name__)

_ROUNDED = 1e-2  # how far from 1 the length of a quaternion may be


def known_rigs(path: Path | None, frames: Sequence[Frame]) -> tuple[KnownRig, ...]:
    """Read which cameras a rig holds together, and which photographs they took at one moment.

    Those are photographs whose names are equal without the ``image_prefix`` of their camera.

    Args:
        path: COLMAP's rig_config.json.
        frames: The photographs.

    Returns:
        The rigs of several cameras, without those that never took two photographs at one moment.

    Raises:
        InputError: If it cannot be read, has cameras of no photograph, or poses that are none.
    """
    if path is None:
        return ()
    names = [frame.name for frame in frames]
    configs = read_rigs(path, names)
    prefixes = prefixes_in(configs)
    twice = next((p for p in prefixes if prefixes.count(p) > 1), None)
    if twice is not None:
        raise InputError(f"--rig {path}: two of its cameras have the image_prefix {twice!r}")
    by_prefix: dict[str, dict[str, str]] = {prefix: {} for prefix in prefixes}
    for name in names:
        prefix = prefix_of(name, prefixes)
        if prefix is not None:
            by_prefix[prefix][name.removeprefix(prefix)] = name
    rigs = []
    for config in configs:
        if len(config.cameras) > 1:
            rig = _known_rig(config, by_prefix, path)
            if any(sum(name is not None for name in moment) > 1 for moment in rig.moments):
                rigs.append(rig)
            else:
                _logger.warning(
                    "--rig %s: no two photographs have the same name after %s; their cameras are "
                    "not held together",
                    path,
                    " and ".join(sensor.name for sensor in rig.sensors[:2]),
                )
    return tuple(rigs)


def _known_rig(
    config: pycolmap.RigConfig, by_prefix: dict[str, dict[str, str]], path: Path
) -> KnownRig:
    cameras = sorted(config.cameras, key=lambda camera: not camera.ref_sensor)
    taken = [by_prefix[camera.image_prefix] for camera in cameras]
    rest = dict.fromkeys(name for names in taken for name in names)  # in order, each once
    return KnownRig(
        sensors=tuple(_known_sensor(camera, path) for camera in cameras),
        moments=tuple(tuple(names.get(name) for names in taken) for name in rest),
    )


def _known_sensor(camera: pycolmap.RigConfigCamera, path: Path) -> KnownSensor:
    given = camera.cam_from_rig
    if given is None:
        return KnownSensor(name=camera.image_prefix)
    quat_xyzw = np.asarray(given.rotation.quat, np.float64)
    length = float(np.linalg.norm(quat_xyzw))
    if not (abs(length - 1) <= _ROUNDED and np.isfinite(given.translation).all()):
        raise InputError(
            f"--rig {path}: cam_from_rig of {camera.image_prefix} is no pose: its quaternion has "
            f"length {length:.3g}, its translation is {given.translation.tolist()}"
        )
    pose = np.column_stack([rotation_from_quat_xyzw(quat_xyzw), given.translation])
    return KnownSensor(name=camera.image_prefix, cam_from_rig=plain_pose(pose))


def rigs_of_model(model: pycolmap.Reconstruction) -> tuple[KnownRig, ...]:
    """Return the rigs of a model that hold several cameras with images together.

    Where these are fixed is left open, as COLMAP refines it too.
    """
    rigs = []
    for rig_id, rig in sorted(model.rigs.items()):
        taken = [
            {image.camera_id: image.name for image in _placed_images(model, frame)}
            for _, frame in sorted(model.frames.items())
            if frame.rig_id == rig_id
        ]
        reference = rig.ref_sensor_id.id
        cameras = sorted({c for names in taken for c in names}, key=lambda c: (c != reference, c))
        if len(cameras) > 1:
            sensors = tuple(KnownSensor(name=f"camera {camera_id}") for camera_id in cameras)
            moments = tuple(tuple(map(names.get, cameras)) for names in taken)
            rigs.append(KnownRig(sensors=sensors, moments=moments))
    return tuple(rigs)


def _placed_images(model: pycolmap.Reconstruction, frame: pycolmap.Frame) -> list[pycolmap.Image]:
    images = [model.images[data.id] for data in frame.image_ids]
    return [image for image in images if image.has_pose]
