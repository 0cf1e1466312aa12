"""Baselines of a rig give metres."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rigged import rigged

from vggt_sfm.ba.knowledge import KnownRig, plain_pose
from vggt_sfm.io.rigs import without_rigs
from vggt_sfm.placing.rig_scale import place_by_rigs
from vggt_sfm.priors.rig import rigs_of_model

MODEL = rigged(moments=2, points=20)  # 0.4 between its cameras


def known(x_m: float) -> KnownRig:
    (rig,) = rigs_of_model(MODEL)
    pose = plain_pose(np.column_stack([np.eye(3), [x_m, 0.0, 0.0]]))
    return replace(rig, sensors=(rig.sensors[0], replace(rig.sensors[1], cam_from_rig=pose)))


def test_a_known_baseline_scales_and_nothing_else_does() -> None:
    report = place_by_rigs(MODEL, [known(-2.0)])
    assert report is not None
    assert (report.source, report.applied) == ("rig", True)
    assert report.scale == pytest.approx(5, rel=1e-12)
    assert place_by_rigs(MODEL, []) is None
    assert place_by_rigs(MODEL, rigs_of_model(MODEL)) is None  # where they are fixed is not known
    assert place_by_rigs(MODEL, [known(0.0)]) is None
    assert place_by_rigs(without_rigs(MODEL), [known(-2.0)]) is None  # it was not held
