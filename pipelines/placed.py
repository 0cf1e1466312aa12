"""Give the result of a run metres and a place, where something tells them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm._log import get_logger
from vggt_sfm.errors import InputError
from vggt_sfm.io.opened import LEAST_POINTS, OpenedModel, depth_ratios
from vggt_sfm.placing.config import PlaceConfig
from vggt_sfm.placing.ends import Depth, DepthAt
from vggt_sfm.placing.place import apply, place, sim3d
from vggt_sfm.placing.report import PlacementReport
from vggt_sfm.placing.rig_scale import place_by_rigs
from vggt_sfm.priors.world import KnownWorld
from vggt_sfm.scene import Frame

if TYPE_CHECKING:
    import pycolmap

METRES = "m"
_logger = get_logger(__name__)
_ROBUST_SIGMA = 1.4826  # of normal noise, over the median of its size
_UNCHECKED_SIGMA = 0.2  # relative, of depth that too few points can be compared with


def in_metres(
    opened: OpenedModel,
    frames: Sequence[Frame],
    config: PlaceConfig,
    world: KnownWorld,
) -> tuple[OpenedModel, PlacementReport]:
    """Give a result metres where something tells them.

    What was asked for and cannot be done is said in a warning and in the report; it loses nothing.

    Args:
        opened: The result.
        frames: Its photographs.
        config: What is known.
        world: Where known cameras have put the result; only what is asked for moves it again.
            Baselines of its rigs give metres where nothing else does.
    """
    asked = config.distances or config.positions or config.gps == "yes"
    if world.known_from_predicted is not None and not asked:
        return _left_where_it_is(opened, world, "it is that of the known cameras")
    try:
        new_from_old, placement = place(opened.model, frames, config, depth_at(opened))
    except InputError as error:
        _logger.warning("the model keeps its own units: %s", error)
        return _left_where_it_is(opened, world, str(error))
    if new_from_old is None:
        by_rig = place_by_rigs(opened.model, world.knowledge.rigs)
        if by_rig is None or by_rig.new_from_old is None:
            return opened, placement
        new_from_old, placement = sim3d(by_rig.new_from_old), by_rig
    return placed(opened, new_from_old, placement), placement


def _left_where_it_is(
    opened: OpenedModel, world: KnownWorld, reason: str
) -> tuple[OpenedModel, PlacementReport]:
    known = world.placement
    if known is None:
        return opened, PlacementReport(source="none", reason=reason)
    return replace(opened, unit=METRES, georeferenced=known.georeferenced), known


def placed(
    opened: OpenedModel, new_from_old: pycolmap.Sim3d, placement: PlacementReport
) -> OpenedModel:
    """Move a result, its depth and its earlier state to a world in metres."""
    scale = float(new_from_old.scale)
    return replace(
        opened,
        model=apply(opened.model, new_from_old),
        before=apply(opened.before, new_from_old) if opened.before is not None else None,
        depths={name: depth.scaled(scale) for name, depth in opened.depths.items()},
        unit=METRES,
        georeferenced=placement.georeferenced,
    )


def depth_at(opened: OpenedModel) -> DepthAt:
    """Return what tells predicted depth at pixels, and how sure it is.

    Uncertain is how depth differs around the pixel, and how it differs from the points that the
    photograph shows.
    """
    images = {image.name: image for image in opened.images()}

    def at(name: str, xy: Float64) -> Depth | None:
        if name not in images or name not in opened.depths:
            return None
        depth = opened.depths[name]
        step = 1 / np.array(depth.pixel_map.scale)
        around = np.array([[x, y] for x in (-1, 0, 1) for y in (-1, 0, 1)]) * step
        near = depth.at(xy + around)
        near = near[near > 0]
        if not len(near):
            return None
        value = float(np.median(near))
        spread = _ROBUST_SIGMA * float(np.median(np.abs(near - value)))
        off = np.abs(1 / depth_ratios(depth, opened.model, images[name]) - 1)
        enough = len(off) >= LEAST_POINTS
        relative = _ROBUST_SIGMA * float(np.median(off)) if enough else _UNCHECKED_SIGMA
        return Depth(value, float(np.hypot(spread, relative * value)))

    return at
