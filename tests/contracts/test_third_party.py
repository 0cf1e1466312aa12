"""Facts about pycolmap and pyceres that the code relies on.

When an upgrade breaks one of these, read the test's name before the code that depends on it.
What may kill the interpreter runs in one of its own.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyceres
import pycolmap
import pytest
from pycolmap import cost_functions  # not an attribute of pycolmap without this

HERE = str(Path(__file__).parent)


def tiny_model() -> pycolmap.Reconstruction:
    """Four cameras, thirty points, wrong by a little."""
    rng = np.random.default_rng(0)
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        model="SIMPLE_PINHOLE", width=400, height=300, params=[400, 200, 150], camera_id=1
    )
    model.add_camera_with_trivial_rig(camera)
    xyz = rng.uniform(-1, 1, (30, 3))
    for i in range(4):
        true = pycolmap.Rigid3d(pycolmap.Rotation3d(), np.array([0.4 * i - 0.6, 0.1 * i, 5]))
        pixels = camera.img_from_cam(true * xyz) + rng.normal(0, 0.3, (30, 2))
        image = pycolmap.Image(name=f"{i}", keypoints=pixels, camera_id=1, image_id=i + 1)
        start = pycolmap.Rigid3d(true.rotation, true.translation + rng.normal(0, 0.02, 3))
        model.add_image_with_trivial_frame(image, start)
    for n in range(30):
        track = pycolmap.Track()
        for i in range(4):
            track.add_element(i + 1, n)
        model.add_point3D(xyz[n] + rng.normal(0, 0.02, 3), track)
    return model


def adjuster_of(model: pycolmap.Reconstruction) -> pycolmap.CeresBundleAdjuster:
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.ceres.solver_options.function_tolerance = 1e-6
    options.ceres.solver_options.num_threads = 1
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in model.images:
        config.add_image(image_id)
    return pycolmap.create_default_ceres_bundle_adjuster(options, config, model)


def solve(problem: pyceres.Problem) -> pyceres.SolverSummary:
    options, summary = pyceres.SolverOptions(), pyceres.SolverSummary()
    options.linear_solver_type = pyceres.LinearSolverType.DENSE_SCHUR
    options.num_threads = 1
    options.max_num_iterations = 100
    options.function_tolerance = 1e-10
    pyceres.solve(options, problem, summary)
    return summary


def test_both_libraries_carry_the_same_ceres() -> None:
    # A problem made by one and solved by the other shares memory, with no check by either.
    assert pycolmap.__ceres_version__ == pyceres.__ceres_version__


def test_pyceres_solves_a_pycolmap_problem_to_the_same_cost() -> None:
    first, second = tiny_model(), tiny_model()
    own, theirs = adjuster_of(first), adjuster_of(second)
    theirs.solve()
    problem = own.problem
    assert isinstance(problem, pyceres.Problem)
    summary = solve(problem)
    assert summary.IsSolutionUsable()
    costs = [np.square(p.evaluate_residuals()).sum() for p in (problem, theirs.problem)]
    assert costs[0] == pytest.approx(costs[1], rel=1e-4)


def test_a_pose_is_written_through_its_frame_only() -> None:
    model = tiny_model()
    moved = pycolmap.Rigid3d(pycolmap.Rotation3d(), np.array([7.0, 8, 9]))
    model.image(1).cam_from_world().translation = moved.translation
    assert model.image(1).cam_from_world().translation[0] != 7
    model.frame(1).rig_from_world = moved
    assert model.image(1).cam_from_world().translation[0] == 7


def test_parameter_views_belong_to_the_problem_and_take_extra_residuals() -> None:
    model = tiny_model()
    adjuster = adjuster_of(model)
    problem = adjuster.problem
    pose = model.frame(1).rig_from_world.params
    intrinsics = model.camera(1).params
    assert problem.has_parameter_block(pose)
    assert problem.has_parameter_block(intrinsics)
    before = problem.num_residuals()
    there = pycolmap.Rigid3d(pycolmap.Rotation3d(), np.array([1.0, 2, 5]))
    cost = cost_functions.AbsolutePosePriorCost(1e-12 * np.eye(6), there)
    problem.add_residual_block(cost, None, [pose])
    focal = pyceres.factors.NormalPrior(np.array([480.0, 200, 150]), np.diag([1e-12, 1e12, 1e12]))
    problem.add_residual_block(focal, None, [intrinsics])
    assert problem.num_residuals() == before + 6 + 3
    assert solve(problem).IsSolutionUsable()
    assert model.image(1).cam_from_world().translation == pytest.approx([1, 2, 5], abs=1e-3)
    assert model.camera(1).focal_length == pytest.approx(480, abs=1e-3)
    del problem, adjuster


def test_poses_and_intrinsics_can_be_held() -> None:
    model = tiny_model()
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_focal_length = False
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in model.images:
        config.add_image(image_id)
        config.set_constant_rig_from_world_pose(image_id)
    adjuster = pycolmap.create_default_ceres_bundle_adjuster(options, config, model)
    poses = [model.image(i).cam_from_world().matrix() for i in range(1, 5)]
    xyz = model.point3D(1).xyz.copy()
    solve(adjuster.problem)
    assert model.camera(1).focal_length == 400
    for i, pose in enumerate(poses, start=1):
        np.testing.assert_array_equal(model.image(i).cam_from_world().matrix(), pose)
    assert (model.point3D(1).xyz != xyz).any()


def test_a_point_behind_its_camera_has_no_residual() -> None:
    model = tiny_model()
    model.point3D(1).xyz = np.array([0, 0, -20.0])
    residuals = np.asarray(adjuster_of(model).problem.evaluate_residuals())
    assert np.sum(residuals == 0) == 8  # two a view: to Ceres it fits perfectly


def test_projection_behind_a_camera_is_nan() -> None:
    camera = tiny_model().camera(1)
    pixels = camera.img_from_cam(np.array([[0, 0, 2.0], [0, 0, -2.0], [np.nan, 0, 1]]))
    np.testing.assert_array_equal(np.isnan(pixels).any(axis=1), [False, True, True])


def test_a_point_with_one_view_is_refused() -> None:
    model = tiny_model()
    for image_id in (2, 3, 4):
        model.delete_observation(image_id, 0)
    assert not model.exists_point3D(1)  # deleting down to one view deletes the point
    track = pycolmap.Track()
    track.add_element(1, 0)
    model.add_point3D(np.zeros(3), track)
    with pytest.raises(ValueError, match=r"[Tt]rack"):
        adjuster_of(model)


def test_point_ids_count_up_from_one_in_order_of_insertion() -> None:
    assert sorted(tiny_model().point3D_ids()) == list(range(1, 31))
    assert sorted(tiny_model().frames) == [1, 2, 3, 4]  # frame ids are image ids
    assert sorted(tiny_model().rigs) == [1]  # rig ids are camera ids


def test_a_copy_shares_nothing() -> None:
    model = tiny_model()
    copy = pycolmap.Reconstruction(model)
    copy.frame(1).rig_from_world = pycolmap.Rigid3d()
    copy.camera(1).params = [1, 2, 3]
    copy.delete_point3D(1)
    assert model.image(1).cam_from_world().translation[2] != 0
    assert model.camera(1).focal_length == 400
    assert model.num_points3D() == 30


def test_an_exception_in_a_callback_comes_back_and_changes_nothing() -> None:
    class Stop(pyceres.IterationCallback):  # type: ignore[misc]
        def __call__(self, summary: object) -> object:
            raise RuntimeError("stop")

    model = tiny_model()
    before = model.point3D(1).xyz.copy()
    adjuster = adjuster_of(model)
    options = pyceres.SolverOptions()
    callback = Stop()
    options.callbacks = [callback]
    with pytest.raises(RuntimeError, match="stop"):
        pyceres.solve(options, adjuster.problem, pyceres.SolverSummary())
    np.testing.assert_array_equal(model.point3D(1).xyz, before)


def test_seeded_verification_repeats_itself() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(0, 300, (200, 2))
    second = first + rng.normal(0, 1, (200, 2)) + [5, 3]
    second[100:] = rng.uniform(0, 300, (100, 2))
    camera = pycolmap.Camera(model="SIMPLE_PINHOLE", width=300, height=300, params=[300, 150, 150])
    options = pycolmap.TwoViewGeometryOptions()
    options.ransac.random_seed = 3
    rows = np.stack([np.arange(200)] * 2, axis=1).astype(np.uint32)
    found = [
        pycolmap.estimate_two_view_geometry(camera, first, camera, second, rows, options)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(found[0].inlier_matches, found[1].inlier_matches)
    assert 90 <= len(found[0].inlier_matches) <= 130


# Nothing here may depend on which native library was loaded first.
_WORK = """
import numpy as np
bitmap = pycolmap.Bitmap.from_array(
    np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8))
extractor = pycolmap.FeatureExtractor.create(pycolmap.FeatureExtractionOptions(),
                                             pycolmap.Device.cpu)
assert len(extractor.extract(bitmap)[0]) > 0
import test_third_party as t
model = t.tiny_model()
adjuster = t.adjuster_of(model)
assert t.solve(adjuster.problem).IsSolutionUsable()
"""


def run_python(code: str, timeout: float = 120) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {HERE!r})\n{code}"],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "order", ["torch, pycolmap, pyceres", "pyceres, pycolmap, torch", "cv2, pycolmap"]
)
def test_order_of_imports_does_not_matter(order: str) -> None:
    run_python(f"import {order}\n{_WORK}")


def test_ctrl_c_ends_a_solve_at_the_next_iteration() -> None:
    """Without a Python callback it would wait for the end of the solve."""
    code = f"""
import sys; sys.path.insert(0, {HERE!r})
import signal, time, pyceres, test_third_party as t
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background jobs
class Slow(pyceres.IterationCallback):
    def __call__(self, summary):
        print("iterating", flush=True)
        time.sleep(0.05)
        return pyceres.CallbackReturnType.SOLVER_CONTINUE
model = t.tiny_model()
adjuster = t.adjuster_of(model)
options, callback = pyceres.SolverOptions(), Slow()
options.callbacks = [callback]
options.max_num_iterations = 10_000
options.function_tolerance = options.gradient_tolerance = options.parameter_tolerance = 0
pyceres.solve(options, adjuster.problem, pyceres.SolverSummary())
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "iterating\n"
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - sent < 20
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
