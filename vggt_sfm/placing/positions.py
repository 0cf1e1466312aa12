"""The similarity that given positions of cameras give a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.geometry.rigid import quat_xyzw_from_rotation
from vggt_sfm.io.positions import LocalPosition, Position
from vggt_sfm.placing.level import up_guess
from vggt_sfm.placing.local_frame import east_north_up
from vggt_sfm.placing.report import Origin, PlacementReport, Residual, Similarity, Source
from vggt_sfm.placing.similarity import Fit, Noise, Targets, fit_similarity
from vggt_sfm.scene import GpsPosition

_GPS_SIGMA_M = 3.0  # a phone under an open sky: 4.9 m for 95 %, www.gps.gov, both directions
_GPS_VERTICAL = 2.0  # heights are about twice as uncertain as horizontal positions
_NO_SCALE = 0.5  # relative uncertainty: within two standard deviations, the scale may be 0
_NO_LENGTH_M = 1e-6
_NO_LENGTH = 1e-9  # relative to how far the cameras are from the origin: round-off
_FAR_M = 1e5  # from where 32-bit floats, as in point clouds, are coarser than a centimetre


def place_by_positions(
    source: Source,
    cam_from_world: Mapping[str, Float64],
    positions: Mapping[str, Position],
) -> PlacementReport:
    """Find the similarity that carries camera centres onto given positions.

    Args:
        source: Where the positions come from; those of "gps" have uncertainties as receivers do.
        cam_from_world: (3, 4) pose by image name.
        positions: Of one kind, by image name; those of cameras without a pose are ignored.

    Returns:
        The report, not applied yet; without ``new_from_old`` and with a reason where the positions
        do not fix the scale. Two positions give the scale alone.
    """
    names = [name for name in positions if name in cam_from_world]
    poses = [cam_from_world[name] for name in names]
    if len(names) < 2:
        given = f"{len(names)} of {len(cam_from_world)} cameras of the model"
        return PlacementReport(
            source=source, reason=f"{given} has a position, and a scale needs two"
        )
    centers = np.stack([-pose[:, :3].T @ pose[:, 3] for pose in poses])
    targets, origin = _targets(source, [positions[name] for name in names])
    if len(names) == 2:
        return _scale_only(source, names, centers, targets)
    try:
        fit = fit_similarity(centers, targets, up_guess(np.stack(list(cam_from_world.values()))))
    except ValueError:
        return PlacementReport(source=source, reason="all positions, or all cameras, are one place")
    if not fit.scale_sigma < _NO_SCALE:
        return PlacementReport(
            source=source,
            reason=f"{len(names)} positions do not fit the cameras at any scale: they are too "
            "close together for how uncertain they are, or belong to other photographs",
        )
    return _report(source, names, fit, origin, _far(targets.xyz))


def _report(
    source: Source,
    names: Sequence[str],
    fit: Fit,
    origin: Origin | None,
    remarks: tuple[str, ...],
) -> PlacementReport:
    residuals = [
        Residual(name=name, residual_m=float(length))
        for name, length in zip(names, fit.residual_m, strict=True)
    ]
    if fit.leveled:
        remarks += (
            "the positions do not fix the rotation, being on a line, too close or without heights; "
            "the vertical is that of how the photographs were held, to about 10 degrees",
        )
    quat_xyzw = quat_xyzw_from_rotation(fit.rotation)
    return PlacementReport(
        source=source,
        remarks=remarks,
        scale=fit.scale,
        scale_sigma=fit.scale_sigma,
        used=tuple(r for r, inlier in zip(residuals, fit.inliers, strict=True) if inlier),
        left_out=tuple(r for r, inlier in zip(residuals, fit.inliers, strict=True) if not inlier),
        rms_m=float(np.sqrt(np.mean(np.square(fit.residual_m[fit.inliers])))),
        georeferenced=origin is not None,
        origin=origin,
        new_from_old=similarity(fit.scale, quat_xyzw, fit.translation),
    )


def similarity(scale: float, quat_xyzw: Float64, translation: Float64) -> Similarity:
    """Return a similarity in plain numbers."""
    x, y, z, w = map(float, quat_xyzw)
    tx, ty, tz = map(float, translation)
    return Similarity(scale=scale, quat_xyzw=(x, y, z, w), translation=(tx, ty, tz))


def scaling(scale: float) -> Similarity:
    """Return the similarity that only scales."""
    return Similarity(scale=scale, quat_xyzw=(0.0, 0.0, 0.0, 1.0), translation=(0.0, 0.0, 0.0))


def _targets(source: Source, positions: Sequence[Position]) -> tuple[Targets, Origin | None]:
    """Return metric positions, and where their frame lies if they are geographic."""
    origin = None
    geographic = [position for position in positions if isinstance(position, GpsPosition)]
    if geographic:
        xyz, origin = east_north_up(geographic)
    else:
        xyz = np.array(
            [(p.x_m, p.y_m, p.z_m) for p in positions if isinstance(p, LocalPosition)], np.float64
        )
    given = np.array([position.sigma_m for position in positions], np.float64)
    known = np.isfinite(given)
    noise: Noise = "given"
    if source == "gps":
        noise = "given" if known.all() else "assumed"
        sigma = np.where(known, given, _GPS_SIGMA_M)
        axes = np.array([1.0, 1.0, _GPS_VERTICAL])
    else:
        noise = "given" if known.any() else "unknown"
        sigma = np.where(known, given, np.median(given[known]) if known.any() else 1.0)
        axes = np.ones(3)
    return Targets(xyz=xyz, sigma=sigma[:, None] * axes, noise=noise), origin


def _scale_only(
    source: Source, names: Sequence[str], centers: Float64, targets: Targets
) -> PlacementReport:
    """Compare the distance of two positions with that of their cameras."""
    axes = slice(None) if np.isfinite(targets.xyz).all() else slice(2)
    between = targets.xyz[1, axes] - targets.xyz[0, axes]
    metres = float(np.linalg.norm(between))
    units = float(np.linalg.norm(centers[1] - centers[0]))
    if metres < _NO_LENGTH_M or units <= _NO_LENGTH * np.abs(centers).max():
        return PlacementReport(source=source, reason="both positions, or both cameras, are one")
    sigma = None
    if targets.noise != "unknown":
        variance = np.square(targets.sigma[:, axes]).sum(axis=0)
        sigma = float(np.sqrt(variance @ np.square(between / metres))) / metres
    scale = metres / units
    remarks = ["two positions give the scale alone; the axes stay those of the model"]
    if axes != slice(None):
        remarks.append("heights are not known, and taken to be equal")
    if sigma is None:
        remarks.append("two positions without sigma do not say how certain the scale is")
    return PlacementReport(
        source=source,
        remarks=tuple(remarks),
        scale=scale,
        scale_sigma=sigma,
        used=tuple(Residual(name=name, residual_m=0.0) for name in names),
        rms_m=0.0,
        new_from_old=scaling(scale),
    )


def _far(xyz: Float64) -> tuple[str, ...]:
    """Remark on coordinates that single precision cannot hold."""
    away = float(np.abs(np.nanmedian(xyz[:, :2], axis=0)).max())
    if away < _FAR_M:
        return ()
    return (
        f"the positions lie {away / 1000:.0f} km from their origin, where 32-bit point clouds "
        "lose digits; subtract a common offset",
    )
