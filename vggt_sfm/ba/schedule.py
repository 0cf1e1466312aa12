"""The rounds of an adjustment, and when the early ones have done their work."""

from __future__ import annotations

from vggt_sfm.ba.solve import Round

# Loss scales in px at the reference width, from nearly least squares to nearly inliers only.
# Focal lengths wait until poses are roughly right, or they would absorb their errors. Early solves
# stop soon: the next one has another cost anyway.
EARLY_ROUNDS = (
    Round(name="roughest", loss_px=100.0, max_iterations=40, tolerance=1e-4),
    Round(name="rougher", loss_px=50.0, max_iterations=40, tolerance=1e-4),
    Round(name="rough", loss_px=20.0, max_iterations=40, tolerance=1e-3),
    Round(name="coarse", loss_px=10.0, max_iterations=40, tolerance=1e-3),
    Round(name="focal", loss_px=5.0, max_iterations=40, tolerance=1e-4, refine_focal=True),
    Round(name="tight", loss_px=1.5, max_iterations=40, tolerance=1e-4, refine_focal=True),
)
# Where to enter the early rounds. A wide loss reaches farther and is more easily led astray, and
# the entries rarely fail together: on real photos with starts 40 degrees off, the first alone
# solved 26 of 32, all three 31. The others are tried only where the first leaves misfits.
ENTRIES = (2, 1, 0)
# Misfits: a share of fitting observations below this over all, or in an image below this part of
# the median image's share.
GOOD_SHARE = 0.8
GOOD_IMAGE = 0.6
# How points are fitted to predicted cameras: losses in px at the reference width, and steps.
POINT_LOSSES_PX, POINT_STEPS = (20.0, 3.0), 6
NEAR_SHARE = 0.5  # of observations that fit, for a prediction that is nearly right
NEAR_ROUND = Round(name="near", loss_px=1.5, max_iterations=40, tolerance=1e-4, refine_focal=True)
POINTS_ROUND = Round(name="points", loss_px=1.5, max_iterations=10, refine_poses=False)
# The first round of images that a rig holds together, from where they stood by themselves.
RIG_ROUND = Round(name="rig", loss_px=3.0, max_iterations=40, tolerance=1e-4)
ALL_ROUND = Round(name="all", loss_px=1.0, max_iterations=10, tolerance=1e-4, refine_focal=True)
LAST_ROUND = Round(name="last", loss_px=1.0, max_iterations=40, tolerance=1e-4, refine_focal=True)
