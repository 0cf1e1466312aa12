"""How well the tracks determine each camera."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pycolmap

from vggt_sfm.ba.solve import Round, adjustment_options, quiet_ceres


class PoseSigma(NamedTuple):
    """Standard deviations of one pose, relative to the first adjusted image."""

    rotation_deg: float
    translation: float
    """Of ``cam_from_world``, scene units."""


def pose_sigmas(
    model: pycolmap.Reconstruction, image_ids: list[int], noise_px: float, options: Round
) -> dict[int, PoseSigma]:
    """Estimate what is left uncertain about poses by noise of the tracks alone.

    Args:
        model: Adjusted; its points tie the images together.
        image_ids: Images that were adjusted; the first is the one to which others are related,
            and the distance to the second defines the scale, so both have no or less uncertainty.
        noise_px: Standard deviation of an observation, image px.
        options: What was free.

    Returns:
        The sigmas by image id, where COLMAP can compute them.
    """
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in image_ids:
        config.add_image(image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    with quiet_ceres():
        adjuster = pycolmap.create_default_ceres_bundle_adjuster(
            adjustment_options(options), config, model
        )
        wanted = pycolmap.BACovarianceOptions()
        wanted.params = pycolmap.BACovarianceOptionsParams.POSES
        found = pycolmap.estimate_ba_covariance_from_problem(wanted, model, adjuster.problem)
    sigmas: dict[int, PoseSigma] = {}
    if found is None:
        return sigmas
    for image_id in image_ids:
        covariance = found.get_cam_cov_from_world(image_id)
        if covariance is not None and np.isfinite(covariance).all():
            # rotation first; a pose whose length is fixed has two values of translation
            variance = np.maximum(np.diag(covariance), 0) * noise_px**2
            sigmas[image_id] = PoseSigma(
                rotation_deg=float(np.degrees(np.sqrt(variance[:3].sum()))),
                translation=float(np.sqrt(variance[3:].sum())),
            )
    return sigmas
