"""One solve: what moves, what stays, and what a prior does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic import SyntheticScene, disturbed, synthetic_scene

from vggt_sfm.ba.bundle import Bundle, measure, read_bundle
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.ba.knowledge import NOTHING
from vggt_sfm.ba.priors import make_priors
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.ba.solve import DENSE_LIMIT, Priors, Round, solve
from vggt_sfm.metrics.pose import relative_pose_errors

Bool = NDArray[np.bool_]
STEP = Round(name="test", loss_px=2.0, max_iterations=50, refine_focal=True)


def bundle_of(data: SyntheticScene) -> Bundle:
    return read_bundle(seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig()))


def no_priors(bundle: Bundle) -> Priors:
    active = np.ones(len(bundle.xy), bool)
    return make_priors(bundle, active, 1.0, BundleConfig(pose_prior=False), NOTHING)


def start(num_frames: int = 5) -> Bundle:
    data = synthetic_scene(num_frames=num_frames, num_points=80, pixel_noise=0.2)
    return bundle_of(disturbed(data, rotation_deg=1, center=0.05, focal=1.05, depth=0.05))


def run(bundle: Bundle, active: Bool, step: Round, priors: Priors | None = None) -> Bundle:
    return solve(bundle, active, step, priors or no_priors(bundle), lambda: None)[0]


def test_a_solve_reduces_errors_and_reports_it() -> None:
    bundle = start()
    active = np.ones(len(bundle.xy), bool)
    calls: list[int] = []
    solved, report = solve(bundle, active, STEP, no_priors(bundle), lambda: calls.append(1))
    assert np.median(measure(solved)[0]) < 0.4 < np.median(measure(bundle)[0])
    assert report.final_cost < report.initial_cost
    assert report.usable
    assert report.converged
    assert report.iterations == len(calls) - 1
    assert (report.points, report.observations) == (len(bundle.xyz), len(bundle.xy))


def test_what_is_not_active_does_not_move() -> None:
    bundle = start()
    active = (bundle.image_of != 3) & (bundle.point_of >= 20)
    solved = run(bundle, active, STEP)
    np.testing.assert_array_equal(solved.cam_from_world[3], bundle.cam_from_world[3])
    np.testing.assert_array_equal(solved.xyz[:20], bundle.xyz[:20])
    assert (solved.xyz[20:] != bundle.xyz[20:]).any(axis=1).all()
    assert (solved.cam_from_world[[0, 1, 2, 4]] != bundle.cam_from_world[[0, 1, 2, 4]]).any()


def test_points_alone() -> None:
    bundle = start()
    step = replace(STEP, refine_poses=False, refine_focal=False)
    solved = run(bundle, np.ones(len(bundle.xy), bool), step)
    np.testing.assert_allclose(solved.cam_from_world, bundle.cam_from_world, atol=1e-15)
    assert np.median(measure(solved)[0]) < np.median(measure(bundle)[0])


def test_each_intrinsic_moves_only_when_it_may() -> None:
    bundle = start()
    active = np.ones(len(bundle.xy), bool)
    for focal in (False, True):
        for center in (False, True):
            step = replace(STEP, refine_focal=focal, refine_principal_point=center)
            moved = run(bundle, active, step).cameras[0].params != bundle.cameras[0].params
            np.testing.assert_array_equal(moved, [focal, center, center])


def test_a_prior_holds_an_image_and_gives_way_to_evidence() -> None:
    bundle = start()
    active = np.ones(len(bundle.xy), bool)
    free = run(bundle, active, STEP).cam_from_world

    def held(sigma: float) -> NDArray[np.float64]:
        priors = replace(
            no_priors(bundle),
            rotation_sigma_rad=np.full(5, sigma),
            position_sigma=np.full(5, 5 * sigma),
        )
        return run(bundle, active, STEP, priors).cam_from_world

    assert np.abs(held(1e-6) - bundle.cam_from_world).max() < 1e-4
    # The gauge differs, the relative poses hardly do.
    assert relative_pose_errors(held(1.0), free).pose_deg.max() < 0.02
    assert relative_pose_errors(held(1e-6), free).pose_deg.max() > 0.5


def test_a_focal_prior_decides_only_where_tracks_do_not() -> None:
    bundle = bundle_of(synthetic_scene(num_frames=4, num_points=80, arc_deg=90))
    believed = (np.array([660.0, 0, 0]),), (np.array([132.0, np.inf, np.inf]),)
    priors = replace(no_priors(bundle), camera_params=believed[0], camera_sigma=believed[1])
    every = np.ones(len(bundle.xy), bool)
    three_points: Bool = np.asarray(bundle.point_of < 3)  # they fit at any focal length
    assert run(bundle, every, STEP, priors).cameras[0].focal_length == pytest.approx(440, rel=0.01)
    assert run(bundle, three_points, STEP, priors).cameras[0].focal_length > 550


@pytest.mark.parametrize("num_frames", [DENSE_LIMIT, DENSE_LIMIT + 2])
def test_dense_and_sparse_solvers(num_frames: int) -> None:
    bundle = start(num_frames)
    solved = run(bundle, np.ones(len(bundle.xy), bool), STEP)
    assert np.median(measure(solved)[0]) < 0.4


def test_two_threads_agree_to_round_off() -> None:
    bundle = start()
    active = np.ones(len(bundle.xy), bool)
    one, two = (run(bundle, active, replace(STEP, threads=n)) for n in (1, 2))
    np.testing.assert_allclose(one.cam_from_world, two.cam_from_world, atol=1e-6)


def test_a_start_that_is_not_finite_changes_nothing() -> None:
    bundle = start()
    xyz = bundle.xyz.copy()
    xyz[0, 0] = np.nan
    broken = replace(bundle, xyz=xyz)
    active = np.ones(len(bundle.xy), bool)
    solved, report = solve(broken, active, STEP, no_priors(broken), lambda: None)
    assert not report.usable
    assert solved is broken


def test_an_exception_from_the_progress_passes_through() -> None:
    bundle = start()

    def stop() -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        solve(bundle, np.ones(len(bundle.xy), bool), STEP, no_priors(bundle), stop)


def test_time_is_limited() -> None:
    bundle = start()
    step = replace(STEP, max_seconds=1e-9)
    _, report = solve(bundle, np.ones(len(bundle.xy), bool), step, no_priors(bundle), lambda: None)
    assert report.iterations <= 1
