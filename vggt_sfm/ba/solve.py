"""One Ceres solve: pycolmap builds the problem in C++, pyceres runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyceres
import pycolmap
from pycolmap import cost_functions

from vggt_sfm._checks import Bool, Float64, Int64, freeze
from vggt_sfm.ba.bundle import Bundle
from vggt_sfm.ba.problem import active_model, read_back
from vggt_sfm.ba.report import RoundReport
from vggt_sfm.ba.rigs import Rigs

DENSE_LIMIT = 50  # images; COLMAP's max_num_images_direct_dense_cpu_solver
_GLOG_FATAL = 3
# A pose prior that is off by more than this many sigmas soon gives way.
_PRIOR_LOSS_SIGMAS = 3.0
# Standard deviations that hold nothing, and the smallest that the solver still gets along with.
_NO_PRIOR, _FIRMEST = 1e6, 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one solve may move, and how it treats outliers."""

    name: str
    loss_px: float
    """Scale of the Cauchy loss, image px."""
    max_iterations: int
    refine_poses: bool = True
    refine_focal: bool = False
    refine_principal_point: bool = False
    refine_distortion: bool = False
    threads: int = 1
    tolerance: float = 1e-6
    """Relative decrease of the cost below which the solve has converged."""
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Priors:
    """What is believed before the images are looked at, and how firmly."""

    cam_from_world: Float64  # (S, 3, 4) in the world of the bundle that is solved
    rotation_sigma_rad: Float64  # (S,) infinite: nothing is believed of it
    position_sigma: Float64  # (S,) of the centre, scene units; both sigmas 0: the pose is held
    camera_params: tuple[Float64, ...]  # of each camera
    camera_sigma: tuple[Float64, ...]  # of each parameter; infinite: free, all 0: held
    noise_px: float
    """Reprojection error that weighs as much as one sigma of a prior, image px."""

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def held_poses(self) -> Bool:
        """(S,) images that do not move."""
        return np.asarray((self.rotation_sigma_rad == 0) & (self.position_sigma == 0))

    def holds_camera(self, row: int) -> bool:
        """Say whether nothing of a camera may change."""
        return not self.camera_sigma[row].any()


def solve(
    bundle: Bundle,
    active: Bool,
    options: Round,
    priors: Priors,
    on_iteration: Callable[[], None],
) -> tuple[Bundle, RoundReport]:
    """Adjust a bundle to its active observations with a free gauge.

    Args:
        bundle: The start, unchanged.
        active: (M,) observations to use; every point among them needs two.
        options: What to refine and for how long.
        priors: What is believed of poses and intrinsics.
        on_iteration: Called after each iteration; what it raises ends the solve and is passed on.

    Returns:
        The adjusted bundle (equal to the start where Ceres found no usable solution) and the
        figures of the solve. Images and points without active observations do not move, except
        with others of their rig.
    """
    images = np.unique(bundle.image_of[active])
    points = np.unique(bundle.point_of[active])
    # Everything below must outlive the solve: Ceres keeps bare pointers into it.
    model = active_model(bundle, active, images, points)
    config = _config(model, options, priors, bundle.rigs)
    adjuster = pycolmap.create_default_ceres_bundle_adjuster(
        adjustment_options(options), config, model
    )
    problem = adjuster.problem
    # A prior holds the pose of a frame, which in a rig is that of the reference.
    leading = images if bundle.rigs is None else images[bundle.rigs.leads[images]]
    alive = _add_priors(problem, model, leading, options, priors)
    callback = _Callback(on_iteration)
    solver_options = _solver_options(options, len(images), callback)
    summary = pyceres.SolverSummary()
    with quiet_ceres():
        pyceres.solve(solver_options, problem, summary)
    usable = summary.IsSolutionUsable()
    report = RoundReport(
        name=options.name,
        points=len(points),
        observations=int(active.sum()),
        loss_px=options.loss_px,
        initial_cost=summary.initial_cost,
        final_cost=summary.final_cost,
        iterations=max(len(callback.costs) - 1, 0),  # the first call reports the start
        costs=tuple(callback.costs),
        usable=usable,
        converged=usable and summary.termination_type == pyceres.TerminationType.CONVERGENCE,
    )
    solved = read_back(bundle, model, images, points) if usable else bundle
    del problem, adjuster, alive
    return solved, report


class _Callback(pyceres.IterationCallback):  # type: ignore[misc]  # pyceres has no stubs
    """Notes costs. Without any Python callback Ctrl-C waits for the end of the solve."""

    def __init__(self, on_iteration: Callable[[], None]) -> None:
        super().__init__()
        self._on_iteration = on_iteration
        self.costs: list[float] = []

    def __call__(self, summary: pyceres.IterationSummary) -> pyceres.CallbackReturnType:
        self.costs.append(summary.cost)
        self._on_iteration()
        return pyceres.CallbackReturnType.SOLVER_CONTINUE


def _config(
    model: pycolmap.Reconstruction, options: Round, priors: Priors, rigs: Rigs | None
) -> pycolmap.BundleAdjustmentConfig:
    config = pycolmap.BundleAdjustmentConfig()
    held = priors.held_poses
    for image_id in sorted(model.reg_image_ids()):
        config.add_image(image_id)
        if held[image_id - 1] or not options.refine_poses:
            config.set_constant_rig_from_world_pose(model.image(image_id).frame_id)
    for camera_id in sorted(model.cameras):
        if priors.holds_camera(camera_id - 1):
            config.set_constant_cam_intrinsics(camera_id)
    if rigs is not None:
        for row in rigs.camera_of[rigs.held & ~rigs.references].tolist():
            config.set_constant_sensor_from_rig_pose(model.camera(row + 1).sensor_id)
    # No fix_gauge: COLMAP's choices hang the scale on one arbitrary baseline, which is often
    # a bad one here; the caller aligns the result instead.
    return config


def adjustment_options(options: Round) -> pycolmap.BundleAdjustmentOptions:
    """Return pycolmap's options for what a round may move, with a Cauchy loss."""
    adjustment = pycolmap.BundleAdjustmentOptions()
    adjustment.print_summary = False
    adjustment.refine_focal_length = options.refine_focal
    adjustment.refine_principal_point = options.refine_principal_point
    adjustment.refine_extra_params = options.refine_distortion
    adjustment.refine_sensor_from_rig = options.refine_poses
    adjustment.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    adjustment.ceres.loss_function_scale = options.loss_px
    return adjustment


def _solver_options(options: Round, num_images: int, callback: _Callback) -> pyceres.SolverOptions:
    solver = pyceres.SolverOptions()
    dense = num_images <= DENSE_LIMIT
    types = pyceres.LinearSolverType
    solver.linear_solver_type = types.DENSE_SCHUR if dense else types.SPARSE_SCHUR
    solver.max_num_iterations = options.max_iterations
    solver.function_tolerance = options.tolerance
    solver.num_threads = options.threads
    if options.max_seconds is not None:
        solver.max_solver_time_in_seconds = options.max_seconds
    solver.minimizer_progress_to_stdout = False
    solver.logging_type = pyceres.LoggingType.SILENT
    solver.callbacks = [callback]
    return solver


def _add_priors(
    problem: pyceres.Problem,
    model: pycolmap.Reconstruction,
    images: Int64,
    options: Round,
    priors: Priors,
) -> list[object]:
    """Add the priors of what may move; return what must stay alive with the problem."""
    alive: list[object] = []
    if options.refine_poses:
        alive += _add_pose_priors(problem, model, images, priors)
    if options.refine_focal or options.refine_principal_point or options.refine_distortion:
        alive += _add_camera_priors(problem, model, priors)
    return alive


def _add_pose_priors(
    problem: pyceres.Problem,
    model: pycolmap.Reconstruction,
    images: Int64,
    priors: Priors,
) -> list[object]:
    """Add one residual block an image: its turn, and how far its centre is off."""
    loss = pyceres.CauchyLoss(_PRIOR_LOSS_SIGMAS * priors.noise_px)
    alive: list[object] = [loss]
    told = np.isfinite(priors.position_sigma) | np.isfinite(priors.rotation_sigma_rad)
    told &= ~priors.held_poses
    for s in images[told[images]].tolist():
        pose = model.frame(s + 1).rig_from_world.params  # type: ignore[union-attr]
        sigma = np.repeat([priors.rotation_sigma_rad[s], priors.position_sigma[s]], 3)
        cost = cost_functions.AbsolutePosePriorCost(
            np.diag(np.square(sigma.clip(_FIRMEST, _NO_PRIOR) / priors.noise_px)),
            pycolmap.Rigid3d(np.ascontiguousarray(priors.cam_from_world[s])),
        )
        problem.add_residual_block(cost, loss, [pose])
        alive += [pose, cost]
    return alive


def _add_camera_priors(
    problem: pyceres.Problem, model: pycolmap.Reconstruction, priors: Priors
) -> list[object]:
    """Hold intrinsics near what is believed; without evidence some would run to infinity."""
    alive: list[object] = []
    for camera_id in sorted(model.cameras):
        row = camera_id - 1
        if priors.holds_camera(row):
            continue
        mean = priors.camera_params[row]
        # A prior in absolute units must hold nothing of a camera of any size.
        sigma = priors.camera_sigma[row].clip(_FIRMEST, _NO_PRIOR * max(1.0, np.abs(mean).max()))
        cost = pyceres.factors.NormalPrior(mean, np.diag(np.square(sigma / priors.noise_px)))
        params = model.camera(camera_id).params
        problem.add_residual_block(cost, None, [params])
        alive += [cost, params]
    return alive


@contextmanager
def quiet_ceres() -> Iterator[None]:
    """Hold back warnings that Levenberg-Marquardt recovers from (each library has its own log)."""
    levels = pyceres.logging.minloglevel, pycolmap.logging.minloglevel
    pyceres.logging.minloglevel = pycolmap.logging.minloglevel = _GLOG_FATAL
    try:
        yield
    finally:
        pyceres.logging.minloglevel, pycolmap.logging.minloglevel = levels
