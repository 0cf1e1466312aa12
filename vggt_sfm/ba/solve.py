"""One Ceres solve: pycolmap builds the problem in C++, pyceres runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pyceres
import pycolmap
from pycolmap import cost_functions

from vggt_sfm._checks import Bool, Float64, Int64, freeze
from vggt_sfm.ba.bundle import Bundle
from vggt_sfm.ba.report import RoundReport

DENSE_LIMIT = 50  # images; COLMAP's max_num_images_direct_dense_cpu_solver
_GLOG_FATAL = 3
# A pose prior that is off by more than this many sigmas soon gives way.
_PRIOR_LOSS_SIGMAS = 3.0
_FOCAL_SIGMA = 0.2  # of the predicted focal length; tracks overrule it where they can
_NO_PRIOR = 1e6


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
    rotation_sigma_rad: Float64  # (S,) infinite: no prior for this image
    translation_sigma: Float64  # (S,) scene units
    focal_px: Float64  # (C,) of each camera
    noise_px: float
    """Reprojection error that weighs as much as one sigma of a prior, image px."""

    def __post_init__(self) -> None:
        freeze(self)


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
        priors: Soft priors on poses and focal lengths.
        on_iteration: Called after each iteration; what it raises ends the solve and is passed on.

    Returns:
        The adjusted bundle (equal to the start where Ceres found no usable solution) and the
        figures of the solve. Images and points without active observations do not move.
    """
    images = np.unique(bundle.image_of[active])
    points = np.unique(bundle.point_of[active])
    # Everything below must outlive the solve: Ceres keeps bare pointers into it.
    model = _model(bundle, active, images, points)
    config = _config(model, options)
    adjuster = pycolmap.create_default_ceres_bundle_adjuster(
        adjustment_options(options), config, model
    )
    problem = adjuster.problem
    alive = _add_priors(problem, model, images, options, priors)
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
    solved = _read_back(bundle, model, images, points) if usable else bundle
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


def _model(bundle: Bundle, active: Bool, images: Int64, points: Int64) -> pycolmap.Reconstruction:
    """Build the part of the model that is adjusted; ids are rows plus one."""
    model = pycolmap.Reconstruction()
    for c in np.unique(bundle.camera_of[images]).tolist():
        camera = pycolmap.Camera(bundle.cameras[c].todict())
        camera.camera_id = c + 1
        model.add_camera_with_trivial_rig(camera)
    rows = np.flatnonzero(active)
    point2d_of = np.empty(len(bundle.xy), np.int64)
    for s in images.tolist():
        mine = rows[bundle.image_of[rows] == s]
        point2d_of[mine] = np.arange(len(mine))
        image = pycolmap.Image(
            name=str(s),
            keypoints=bundle.xy[mine],
            camera_id=int(bundle.camera_of[s]) + 1,
            image_id=s + 1,
        )
        pose = pycolmap.Rigid3d(np.ascontiguousarray(bundle.cam_from_world[s]))
        model.add_image_with_trivial_frame(image, pose)
    first = np.searchsorted(bundle.point_of[rows], points)
    last = np.append(first[1:], len(rows))
    image_ids = (bundle.image_of[rows] + 1).tolist()
    point2d = point2d_of[rows].tolist()
    for n, begin, end in zip(points.tolist(), first.tolist(), last.tolist(), strict=True):
        track = pycolmap.Track()
        for m in range(begin, end):
            track.add_element(image_ids[m], point2d[m])
        model.add_point3D(bundle.xyz[n], track)  # ids count up from 1 in this order
    return model


def _config(model: pycolmap.Reconstruction, options: Round) -> pycolmap.BundleAdjustmentConfig:
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in sorted(model.reg_image_ids()):
        config.add_image(image_id)
        if not options.refine_poses:
            config.set_constant_rig_from_world_pose(model.image(image_id).frame_id)
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
    if options.refine_focal:
        alive += _add_focal_priors(problem, model, priors)
    return alive


def _add_pose_priors(
    problem: pyceres.Problem,
    model: pycolmap.Reconstruction,
    images: Int64,
    priors: Priors,
) -> list[object]:
    """Add one residual block an image."""
    loss = pyceres.CauchyLoss(_PRIOR_LOSS_SIGMAS * priors.noise_px)
    alive: list[object] = [loss]
    for s in images[np.isfinite(priors.rotation_sigma_rad[images])].tolist():
        pose = model.frame(s + 1).rig_from_world.params  # type: ignore[union-attr]
        sigma = np.repeat([priors.rotation_sigma_rad[s], priors.translation_sigma[s]], 3)
        cost = cost_functions.AbsolutePosePriorCost(
            np.diag(np.square(sigma / priors.noise_px)),
            pycolmap.Rigid3d(np.ascontiguousarray(priors.cam_from_world[s])),
        )
        problem.add_residual_block(cost, loss, [pose])
        alive += [pose, cost]
    return alive


def _add_focal_priors(
    problem: pyceres.Problem, model: pycolmap.Reconstruction, priors: Priors
) -> list[object]:
    """Hold every camera's focal length loosely; without evidence some would run to infinity."""
    alive: list[object] = []
    for camera_id in sorted(model.cameras):
        camera = model.camera(camera_id)
        focal = list(camera.focal_length_idxs())
        mean, sigma = np.array(camera.params), np.full(len(camera.params), _NO_PRIOR)
        mean[focal] = priors.focal_px[camera_id - 1]
        sigma[focal] = _FOCAL_SIGMA * mean[focal]
        cost = pyceres.factors.NormalPrior(mean, np.diag(np.square(sigma / priors.noise_px)))
        params = camera.params
        problem.add_residual_block(cost, None, [params])
        alive += [cost, params]
    return alive


def _read_back(
    bundle: Bundle, model: pycolmap.Reconstruction, images: Int64, points: Int64
) -> Bundle:
    poses, xyz = bundle.cam_from_world.copy(), bundle.xyz.copy()
    for s in images.tolist():
        poses[s] = model.image(s + 1).cam_from_world().matrix()
    for row, n in enumerate(points.tolist()):
        xyz[n] = model.point3D(row + 1).xyz
    cameras = list(bundle.cameras)
    for camera_id, camera in model.cameras.items():
        cameras[camera_id - 1] = pycolmap.Camera(camera.todict())
    return replace(bundle, cam_from_world=poses, xyz=xyz, cameras=tuple(cameras))


@contextmanager
def quiet_ceres() -> Iterator[None]:
    """Hold back warnings that Levenberg-Marquardt recovers from (each library has its own log)."""
    levels = pyceres.logging.minloglevel, pycolmap.logging.minloglevel
    pyceres.logging.minloglevel = pycolmap.logging.minloglevel = _GLOG_FATAL
    try:
        yield
    finally:
        pyceres.logging.minloglevel, pycolmap.logging.minloglevel = levels
