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
    lengths, sigmas, remarks = [], [], []
    for distance in distances:
        ends = [locate(word, model, sizes, depth_at) for word in (distance.start, distance.end)]
        length, sigma = _length(distance, *ends)
        lengths.append(length)
        sigmas.append(sigma)
        remarks += [
            f"the camera of {word} is held by too few points to say how certain its place is"
            for word, end in zip((distance.start, distance.end), ends, strict=True)
            if end.covariance is None
        ]
    metres = np.array([distance.metres for distance in distances])
    logarithms, weights = np.log(metres / lengths), 1 / np.square(sigmas)
    mean = float(weights @ logarithms / weights.sum())
    spare = len(distances) - 1
    inflation = float(np.sqrt(weights @ np.square(logarithms - mean) / spare)) if spare else 1.0
    scale = float(np.exp(mean))
    residuals = scale * np.array(lengths) - metres
    if inflation > _CONTRADICTION:
        remarks.append(
            f"the distances disagree {inflation:.0f} times more than pixels and depths explain; "
            "check their ends and lengths"
        )
    names = [f"{distance.start} to {distance.end}" for distance in distances]
    return PlacementReport(
        source="distance",
        remarks=tuple(dict.fromkeys(remarks)),
        scale=scale,
        scale_sigma=max(inflation, 1.0) / float(np.sqrt(weights.sum())),
        used=tuple(
            Residual(name=name, residual_m=float(residual))
            for name, residual in zip(names, residuals, strict=True)
        ),
        rms_m=float(np.sqrt(np.mean(np.square(residuals)))),
    )


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
