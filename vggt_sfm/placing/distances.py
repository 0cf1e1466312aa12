"""The scale that measured distances give a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pycolmap

from vggt_sfm.errors import InputError
from vggt_sfm.placing.config import Distance
from vggt_sfm.placing.ends import DepthAt, End, locate
from vggt_sfm.placing.report import PlacementReport, Residual
from vggt_sfm.scene import Size

_TAPE_SIGMA = 1e-3  # nobody measures a distance between two photographs better than that
_UNSUPPORTED_SIGMA = 0.05  # of a camera's centre that only the network vouches for
_CONTRADICTION = 3.0  # in standard deviations of what the ends explain
_NO_LENGTH = 1e-9  # relative to how far the ends are from the origin: round-off


def scale_of_distances(
    model: pycolmap.Reconstruction,
    sizes: Mapping[str, Size],
    distances: Sequence[Distance],
    depth_at: DepthAt,
) -> PlacementReport:
    """Find the scale that agrees with measured distances.

    The weighted mean of the logarithms of metres over model units. Uncertain are pixels and depths
    of the ends; where several distances disagree by more than that, all count as less certain.

    Args:
        model: The model.
        sizes: Upright size of each photograph by name, px.
        distances: At least one.
        depth_at: Depth where the model has no point near a pixel.

    Returns:
        The report, not applied yet.

    Raises:
        InputError: If an end cannot be found or both are one point of the model.
    """
    measured = [_measured(model, sizes, distance, depth_at) for distance in distances]
    lengths, sigmas = np.array([one[:2] for one in measured]).T
    remarks = [remark for one in measured for remark in one[2]]
    metres = np.array([distance.metres for distance in distances])
    logarithms, weights = np.log(metres / lengths), 1 / np.square(sigmas)
    mean = float(weights @ logarithms / weights.sum())
    spare = len(distances) - 1
    inflation = float(np.sqrt(weights @ np.square(logarithms - mean) / spare)) if spare else 1.0
    scale = float(np.exp(mean))
    residuals = scale * lengths - metres
    if inflation > _CONTRADICTION:
        remarks.append(
            f"the distances disagree {inflation:.0f} times more than pixels and depths explain; "
            "check their ends and lengths"
        )
    return PlacementReport(
        source="distance",
        remarks=tuple(dict.fromkeys(remarks)),
        scale=scale,
        scale_sigma=max(inflation, 1.0) / float(np.sqrt(weights.sum())),
        used=tuple(
            Residual(name=f"{one.start} to {one.end}", residual_m=float(residual))
            for one, residual in zip(distances, residuals, strict=True)
        ),
        rms_m=float(np.sqrt(np.mean(np.square(residuals)))),
    )


def _measured(
    model: pycolmap.Reconstruction,
    sizes: Mapping[str, Size],
    distance: Distance,
    depth_at: DepthAt,
) -> tuple[float, float, list[str]]:
    """Return a distance in model units, its relative standard deviation, and remarks."""
    words = (distance.start, distance.end)
    start, end = (locate(word, model, sizes, depth_at) for word in words)
    remarks = [
        f"the camera of {word} is held by too few points to say how certain its place is"
        for word, one in zip(words, (start, end), strict=True)
        if one.covariance is None
    ]
    return *_length(distance, start, end), remarks


def _length(distance: Distance, start: End, end: End) -> tuple[float, float]:
    """Return a distance in model units and its relative standard deviation."""
    between = end.xyz - start.xyz
    length = float(np.linalg.norm(between))
    extent = float(np.abs([start.xyz, end.xyz]).max())
    if not length > _NO_LENGTH * extent:
        raise InputError(
            f"--distance {distance.start} {distance.end}: both ends are the same point of the "
            "model, so the distance says nothing about its scale"
        )
    axis = between / length
    variances = [
        _UNSUPPORTED_SIGMA**2
        if one.covariance is None
        else axis @ one.covariance @ axis / length**2
        for one in (start, end)
    ]
    return length, float(np.sqrt(sum(variances) + _TAPE_SIGMA**2))
