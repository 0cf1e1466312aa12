"""What became of each image, in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vggt_sfm._checks import Bool
from vggt_sfm.ba.bundle import Bundle
from vggt_sfm.ba.covariance import PoseSigma
from vggt_sfm.ba.report import ImageReport, ImageStatus

# An image that keeps less than this share of what the median image keeps may be misplaced, and so
# may all where less than GOOD_SHARE of all observations fit. On 48 rendered scenes no image of the
# 25 with an AUC@5 above 80 was below either.
_DOUBTFUL = 0.65
GOOD_SHARE = 0.8


def image_reports(
    seed: Bundle,
    *,
    kept: Bool,
    refined: Bool,
    connected: Bool,
    impossible: Bool,
    reason: str,
    fitting: float,
    sigmas: Mapping[int, PoseSigma],
    by_rig: Bool,
) -> tuple[ImageReport, ...]:
    """Say for each image what holds it.

    Args:
        seed: The start.
        kept: (M,) observations of the returned model.
        refined: (S,) images that were adjusted; none where the adjustment was not accepted.
        connected: (S,) images that tracks tie together with the largest part of the others.
        impossible: (S,) images whose predicted camera nothing can start from.
        reason: Why nothing was adjusted; empty if something was.
        fitting: Share of all observations that fit the adjusted model.
        sigmas: Uncertainties by image id.
        by_rig: (S,) images that stand where adjusted images of their rig put them.
    """
    before = np.bincount(seed.image_of, minlength=len(seed.names))
    after = np.bincount(seed.image_of[kept], minlength=len(seed.names))
    share = after / np.maximum(before, 1)
    typical = float(np.median(share[refined])) if refined.any() else 0.0
    reports = []
    for s, name in enumerate(seed.names):
        status: ImageStatus = "refined"
        why: str | None = None
        if by_rig[s]:
            status = "registered"
            why = f"placed by its rig alone: it keeps none of {before[s]} observations"
        elif impossible[s]:
            status, why = "rejected", "its predicted camera is not a possible one"
        elif before[s] == 0:
            alone = "no verified match with another image" if len(seed.names) > 1 else reason
            status, why = "predicted only", alone
        elif not refined.any():
            status, why = "registered", f"as predicted: {reason}"
        elif not connected[s]:
            status, why = "predicted only", "its tracks do not reach the other images"
        elif not refined[s]:
            status = "rejected"
            why = f"its {before[s]} observations contradict the other images"
        elif share[s] < _DOUBTFUL * typical:
            status = "registered"
            why = (
                f"keeps {after[s]} of {before[s]} observations, far fewer than the others; it may "
                "be misplaced"
            )
        elif fitting < GOOD_SHARE:
            status = "registered"
            why = f"only {fitting:.0%} of all observations fit, so any image may be misplaced"
        sigma = sigmas.get(int(seed.image_ids[s]))
        reports.append(
            ImageReport(
                name=name,
                status=status,
                reason=why,
                observations=int(before[s]),
                inliers=int(after[s]),
                outlier_score=round(1 - float(share[s]), 4),
                rotation_sigma_deg=sigma.rotation_deg if sigma else None,
                translation_sigma=sigma.translation if sigma else None,
            )
        )
    return tuple(reports)
