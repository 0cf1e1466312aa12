"""The scale that the baselines of a known rig give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pycolmap

from vggt_sfm.ba.knowledge import KnownRig
from vggt_sfm.placing.positions import scaling
from vggt_sfm.placing.report import PlacementReport


def place_by_rigs(
    model: pycolmap.Reconstruction, known: Sequence[KnownRig]
) -> PlacementReport | None:
    """Find what gives a model metres by the longest known baseline of a rig that holds in it.

    Args:
        model: The model.
        known: Baselines in metres.

    Returns:
        The report, with what to apply; None where no baseline is known, or no rig holds.
    """
    ids = {image.name: image_id for image_id, image in model.images.items()}
    baselines = []
    for rig in known:
        for moment in rig.moments:
            for sensor, name in zip(rig.sensors, moment, strict=True):
                if sensor.cam_from_rig is not None and name in ids:
                    told = float(np.linalg.norm(np.array(sensor.cam_from_rig)[:, 3]))
                    baselines.append((told, _baseline(model, model.image(ids[name]))))
    told, found = max(baselines, default=(0.0, 0.0))
    if not (told > 0 and found > 0):
        return None
    scale = told / found
    return PlacementReport(source="rig", applied=True, scale=scale, new_from_old=scaling(scale))


def _baseline(model: pycolmap.Reconstruction, image: pycolmap.Image) -> float:
    """Return how far an image's camera is from the reference of its rig; 0 for a reference."""
    rig = model.rig(model.frame(image.frame_id).rig_id)
    sensor_id = image.data_id.sensor_id
    pose = None if rig.is_ref_sensor(sensor_id) else rig.sensor_from_rig(sensor_id)
    return 0.0 if pose is None else float(np.linalg.norm(pose.translation))
