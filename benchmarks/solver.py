"""Our Ceres solve beside pycolmap's own bundle adjuster, on the same problem to the same cost.

``python -m vggt_sfm.benchmarks.solver [--images N …] [--repeat N]``

Both run in turn in this process on one thread, with the same loss, linear solver and tolerances.
Exits with 7 where ours takes more than 1.05 times the CPU seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click
import numpy as np
import pyceres
import pycolmap

from vggt_sfm._checks import Bool
from vggt_sfm.ba.bundle import Bundle, read_bundle
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.ba.knowledge import NOTHING
from vggt_sfm.ba.priors import make_priors
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.ba.solve import DENSE_LIMIT, Priors, Round, solve
from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.disturbed import Errors
from vggt_sfm.benchmarks.synthetic import Setup, problem
from vggt_sfm.errors import GateError

IMAGES = (10, 50, 200)
_TRACKS_AN_IMAGE = 100
LIMIT = 1.05
_SMALL = 50  # images
_SAME_COST = 1e-5  # relative
_ROUND = Round(name="all", loss_px=2.0, max_iterations=60, refine_focal=True)
_START = Errors(rotation_deg=0.5, center=0.01, focal=0.02, depth=0.03)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One solve of one side; CPU seconds."""

    whole: float
    """From arrays to arrays: model, problem, solve, and poses and points read back."""
    from_model: float
    """The same without what only builds pycolmap's model; of ours, the whole all the same."""
    solve: float
    """Ceres alone."""
    cost: float


def ours(bundle: Bundle) -> Timing:
    """Solve with what ``adjust`` uses."""
    spent: list[float] = []
    start = time.process_time()
    with _timed_ceres(spent):
        _, report = solve(bundle, _all(bundle), _ROUND, _no_priors(bundle), lambda: None)
    whole = time.process_time() - start
    return Timing(whole=whole, from_model=whole, solve=sum(spent), cost=report.final_cost)


def theirs(bundle: Bundle) -> Timing:
    """Solve with pycolmap's own adjuster, as its documentation has it."""
    times = [time.process_time()]
    model = _model(bundle)
    times.append(time.process_time())
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in model.reg_image_ids():
        config.add_image(image_id)
    options = _options(len(bundle.image_ids))
    adjuster = pycolmap.create_default_ceres_bundle_adjuster(options, config, model)
    times.append(time.process_time())
    summary = adjuster.solve()
    times.append(time.process_time())
    np.stack([model.image(s + 1).cam_from_world().matrix() for s in range(len(bundle.image_ids))])
    np.stack([model.point3D(n + 1).xyz for n in range(len(bundle.xyz))])
    times.append(time.process_time())
    return Timing(
        whole=times[4] - times[0],
        from_model=times[3] - times[1],
        solve=times[3] - times[2],
        cost=summary.ceres_summary.final_cost,  # type: ignore[attr-defined]  # its stub lacks it
    )


def start_of(images: int, seed: int = 0) -> Bundle:
    """Return a problem near its solution, without outliers."""
    setup = Setup(cameras=images, tracks=_TRACKS_AN_IMAGE * images)
    found = problem(setup, _START, seed)
    config = SeedConfig(camera_model="SIMPLE_PINHOLE")
    return read_bundle(seed_reconstruction(found.scene, found.predictions, found.tracks, config))


def _model(bundle: Bundle) -> pycolmap.Reconstruction:
    """Build a pycolmap model point by point."""
    model = pycolmap.Reconstruction()
    for c, camera in enumerate(bundle.cameras):
        mine = pycolmap.Camera(camera.todict())
        mine.camera_id = c + 1
        model.add_camera_with_trivial_rig(mine)
    place = np.empty(len(bundle.xy), np.int64)
    for s, pose in enumerate(bundle.cam_from_world):
        rows = np.flatnonzero(bundle.image_of == s)
        place[rows] = np.arange(len(rows))
        image = pycolmap.Image(
            name=str(s),
            keypoints=bundle.xy[rows],
            camera_id=int(bundle.camera_of[s]) + 1,
            image_id=s + 1,
        )
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.ascontiguousarray(pose)))
    ends = np.searchsorted(bundle.point_of, np.arange(len(bundle.xyz) + 1)).tolist()
    image_ids, places = (bundle.image_of + 1).tolist(), place.tolist()
    for n, xyz in enumerate(bundle.xyz):
        track = pycolmap.Track()
        for m in range(ends[n], ends[n + 1]):
            track.add_element(image_ids[m], places[m])
        model.add_point3D(xyz, track)
    return model


def _options(images: int) -> pycolmap.BundleAdjustmentOptions:
    """Return pycolmap's options with everything that ours sets."""
    options = pycolmap.BundleAdjustmentOptions(print_summary=False)
    options.refine_focal_length = _ROUND.refine_focal
    options.refine_principal_point = options.refine_extra_params = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = _ROUND.loss_px
    options.ceres.auto_select_solver_type = False
    solver, plain = options.ceres.solver_options, pyceres.SolverOptions()
    types = type(solver.linear_solver_type)
    dense = images <= DENSE_LIMIT
    solver.linear_solver_type = types.DENSE_SCHUR if dense else types.SPARSE_SCHUR
    solver.max_num_iterations = _ROUND.max_iterations
    solver.function_tolerance = _ROUND.tolerance
    solver.num_threads = _ROUND.threads
    for name in ("gradient_tolerance", "parameter_tolerance", "max_num_consecutive_invalid_steps"):
        setattr(solver, name, getattr(plain, name))
    return options


def _no_priors(bundle: Bundle) -> Priors:
    """Return priors that weigh nothing, because pycolmap's adjuster has none."""
    return make_priors(bundle, _all(bundle), 1e-6, BundleConfig(pose_prior=False), NOTHING)


def _all(bundle: Bundle) -> Bool:
    return np.ones(len(bundle.xy), bool)


@contextmanager
def _timed_ceres(spent: list[float]) -> Iterator[None]:
    """Note the CPU seconds of every call of ``pyceres.solve``."""
    plain: Callable[..., None] = pyceres.solve

    def timed(*arguments: object) -> None:
        start = time.process_time()
        plain(*arguments)
        spent.append(time.process_time() - start)

    pyceres.solve = timed
    try:
        yield
    finally:
        pyceres.solve = plain


def measure(images: int, repeat: int) -> tuple[Timing, Timing]:
    """Return the best of several alternating runs of both sides, each figure for itself.

    Raises:
        GateError: If the two do not end at the same cost, so that times say nothing.
    """
    bundle = start_of(images)
    times = max(repeat, repeat * _SMALL // images)  # small problems are over soon
    runs: list[tuple[Timing, Timing]] = [(ours(bundle), theirs(bundle)) for _ in range(times)]
    mine, other = (_best(side) for side in zip(*runs, strict=True))
    if abs(mine.cost - other.cost) > _SAME_COST * other.cost:
        raise GateError(f"{images} images: cost {mine.cost:.6g} here, {other.cost:.6g} in pycolmap")
    return mine, other


def _best(runs: tuple[Timing, ...]) -> Timing:
    return Timing(
        whole=min(run.whole for run in runs),
        from_model=min(run.from_model for run in runs),
        solve=min(run.solve for run in runs),
        cost=min(run.cost for run in runs),
    )


@click.command()
@click.option("--images", type=click.IntRange(min=3), multiple=True)
@click.option("--repeat", type=click.IntRange(min=1), default=7, show_default=True)
def main(images: tuple[int, ...], repeat: int) -> None:
    """Print CPU seconds of both sides and their ratios."""
    titles = ["images", "final cost", "ours s", "pycolmap s", "whole", "solve alone"]
    click.echo(markdown.head([*titles, "ours whole / pycolmap from a ready model", "within"]))
    slow = []
    try:
        for number in images or IMAGES:
            mine, other = measure(number, repeat)
            ratio = mine.whole / other.whole
            ratios = (ratio, mine.solve / other.solve, mine.from_model / other.from_model)
            cells = [
                str(number),
                f"{mine.cost:.6g}",
                f"{mine.whole:.3f}",
                f"{other.whole:.3f}",
                *(f"{value:.3f}" for value in ratios),
                "yes" if ratio <= LIMIT else "NO",
            ]
            click.echo(markdown.row(cells))
            if ratio > LIMIT:
                slow.append(f"{number} images: {ratio:.3f}")
        if slow:
            raise GateError(f"more than {LIMIT} times pycolmap's CPU seconds: " + "; ".join(slow))
    except GateError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from error


if __name__ == "__main__":
    main()
