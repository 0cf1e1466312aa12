"""Give a model metres, and where positions allow it, a place on Earth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm._log import get_logger
from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.io.positions import Position, read_positions
from vggt_sfm.placing.config import PlaceConfig, pixel_of
from vggt_sfm.placing.distances import scale_of_distances
from vggt_sfm.placing.ends import Depth, DepthAt, some_of
from vggt_sfm.placing.positions import place_by_positions, scaling
from vggt_sfm.placing.report import PlacementReport, Similarity
from vggt_sfm.scene import Frame

_logger = get_logger(__name__)

GOOD_SIGMA = 0.1
"""Relative uncertainty of the scale up to which GPS is applied without being asked for."""


def no_depth(name: str, xy: Float64) -> Depth | None:
    """Know no depth: only pixels near points of the model can be ends of a distance."""
    return None


def check_place(config: PlaceConfig, frames: Sequence[Frame]) -> None:
    """Notice before long work what names no photograph or cannot be read.

    Raises:
        InputError: If the file of positions, or a distance, is not of these photographs.
    """
    names = [frame.name for frame in frames]
    for word in [end for each in config.distances for end in (each.start, each.end)]:
        name = word if word in names else pixel_of(word)[0]
        if name not in names:
            raise InputError(f"--distance {word}: no photograph is called {name}; {some_of(names)}")
    if config.positions is not None:
        _known(read_positions(config.positions), frames, config.positions)


def place(
    model: pycolmap.Reconstruction,
    frames: Sequence[Frame],
    config: PlaceConfig,
    depth_at: DepthAt = no_depth,
) -> tuple[pycolmap.Sim3d | None, PlacementReport]:
    """Find what gives a model its scale and its place.

    Measured distances count before given positions, and those before GPS. Distances only scale,
    even where GPS is good. Positions and GPS also turn and move the model: geographic ones to East,
    North and Up at their median. GPS that was not asked for is used where it fixes the scale to
    10 % or better.

    Args:
        model: The model, unchanged.
        frames: Its photographs.
        config: What is known.
        depth_at: Depth at a pixel of a photograph, for ends of distances without a point near.

    Returns:
        ``new_from_old`` world, None if nothing is to be applied, and the report.

    Raises:
        InputError: If what was asked for explicitly cannot be done.
    """
    if config.distances:
        sizes = {frame.name: frame.size for frame in frames}
        found = scale_of_distances(model, sizes, config.distances, depth_at)
        return _apply(replace(found, new_from_old=scaling(found.scale or 1.0)))
    poses = poses_by_name(model)
    if config.positions is not None:
        positions = _of_frames(read_positions(config.positions), frames, config.positions)
        found = place_by_positions("positions", poses, positions)
        if found.new_from_old is None:
            raise InputError(f"{config.positions}: {found.reason}")
        return _apply(found)
    return _by_gps(poses, frames, config)


def _by_gps(
    poses: Mapping[str, Float64], frames: Sequence[Frame], config: PlaceConfig
) -> tuple[pycolmap.Sim3d | None, PlacementReport]:
    """Place by what the photographs themselves say, if they are to be believed."""
    gps: Mapping[str, Position] = {f.name: f.gps for f in frames if f.gps is not None}
    if config.gps == "no" or (not gps and config.gps == "auto"):
        reason = "no distance, no positions" + ("" if config.gps == "no" else " and no GPS")
        return None, PlacementReport(source="none", reason=reason)
    found = place_by_positions("gps", poses, gps)
    if config.gps == "yes":
        if found.new_from_old is None:
            raise InputError(f"GPS cannot place the model: {found.reason}; try --gps auto")
        return _apply(found)
    if found.new_from_old is None:
        return None, found
    if found.scale_sigma is None or not found.scale_sigma <= GOOD_SIGMA:
        reason = (
            f"GPS leaves the scale uncertain by {_percent(found.scale_sigma)}, more than "
            f"{_percent(GOOD_SIGMA)}; --gps yes applies it all the same"
        )
        unplaced = replace(found, reason=reason, georeferenced=False, new_from_old=None)
        return None, unplaced
    return _apply(found)


def apply(model: pycolmap.Reconstruction, new_from_old: pycolmap.Sim3d) -> pycolmap.Reconstruction:
    """Return a copy of a model in another world; what its photographs show stays the same."""
    moved = pycolmap.Reconstruction(model)
    moved.transform(new_from_old)
    return moved


def sim3d(similarity: Similarity) -> pycolmap.Sim3d:
    """Return the similarity of a report as pycolmap has it."""
    rotation = pycolmap.Rotation3d(np.array(similarity.quat_xyzw))
    return pycolmap.Sim3d(similarity.scale, rotation, np.array(similarity.translation))


def warn_of(found: PlacementReport) -> None:
    """Tell what is weaker than it might look, and what contradicts the rest."""
    for remark in found.remarks:
        _logger.warning("%s", remark)
    if found.left_out:
        _logger.warning(
            "%d of %d positions contradict the others and are left out: %s",
            len(found.left_out),
            len(found.left_out) + len(found.used),
            ", ".join(f"{one.name} by {one.residual_m:.1f} m" for one in found.left_out[:5]),
        )


def _apply(found: PlacementReport) -> tuple[pycolmap.Sim3d, PlacementReport]:
    """Turn a report that says what to apply into the similarity, with warnings."""
    warn_of(found)
    if found.scale_sigma is not None and not found.scale_sigma <= GOOD_SIGMA:
        _logger.warning("the scale is uncertain by %s", _percent(found.scale_sigma))
    what = found.new_from_old
    if what is None:
        raise ValueError("PlacementReport.new_from_old: nothing to apply")
    return sim3d(what), replace(found, applied=True)


def _of_frames(
    positions: Mapping[str, Position], frames: Sequence[Frame], path: Path
) -> dict[str, Position]:
    """Return the positions of photographs of the scene; warn of others.

    Raises:
        InputError: If no name is one of a photograph.
    """
    known = _known(positions, frames, path)
    unknown = [name for name in positions if name not in known]
    if unknown:
        _logger.warning(
            "%s: %d of %d names are none of a photograph, such as %s",
            path,
            len(unknown),
            len(positions),
            ", ".join(unknown[:3]),
        )
    return known


def _known(
    positions: Mapping[str, Position], frames: Sequence[Frame], path: Path
) -> dict[str, Position]:
    names = {frame.name for frame in frames}
    known = {name: position for name, position in positions.items() if name in names}
    if not known:
        raise InputError(
            f"{path}: none of its {len(positions)} names is one of a photograph: it has "
            f"{', '.join(list(positions)[:3])}, and {some_of(frame.name for frame in frames)}"
        )
    return known


def _percent(sigma: float | None) -> str:
    return "an unknown amount" if sigma is None else f"{100 * sigma:.2g} %"
