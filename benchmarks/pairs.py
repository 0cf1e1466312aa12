"""Wide-baseline pairs: feed-forward, adjusted and two-view geometry from SIFT, pooled.

``python -m vggt_sfm.benchmarks.pairs --data ROOT -o RESULTS [PAIR …]``

Each pair of ``ROOT/scannet_pairs`` is a scene of its own. A pair without a pose counts as failed.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import pycolmap

from vggt_sfm import ReconstructConfig, VggtSfmError, reconstruct
from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.colmap_run import ColmapOptions, extract, match, quiet
from vggt_sfm.benchmarks.intrinsics import given, params
from vggt_sfm.io.colmap import poses_by_name, read_sparse
from vggt_sfm.metrics.pose import auc_exact, relative_pose_errors

FOLDER = "scannet_pairs"
THRESHOLDS = (5, 10, 20)
FEED_FORWARD, ADJUSTED, GIVEN = "feed-forward", "+BA", "+BA, given intrinsics"
SIFT = "SIFT two-view, given intrinsics"
_FEATURES = 4096  # as in the data sets' README
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResult:
    """What one way of getting a relative pose made of one pair."""

    pair: str
    cameras: str
    error_deg: float | None
    """The larger of rotation and direction, with its sign; None: failed."""
    remark: str


def run_pair(data: Path, pair: str, output: Path) -> list[PairResult]:
    """Measure one pair; one result for each way."""
    truth = read_sparse(data / "gt" / pair)
    poses, images = poses_by_name(truth), data / "images"
    names = sorted(poses)
    camera = truth.cameras[min(truth.cameras)]
    shutil.rmtree(output, ignore_errors=True)
    configs = {
        FEED_FORWARD: ReconstructConfig(ba=False),
        ADJUSTED: ReconstructConfig(),
        GIVEN: given(ReconstructConfig(), camera),
    }
    results = []
    for way, config in configs.items():
        if config is not None:
            found, remark = _ours([images / name for name in names], output / "ours", config)
            results.append(pair_result(pair, way, names, found, poses, remark))
    return [*results, sift_result(data, pair, output)]


def sift_result(data: Path, pair: str, output: Path) -> PairResult:
    """Measure SIFT's two-view geometry of one pair."""
    truth = read_sparse(data / "gt" / pair)
    poses = poses_by_name(truth)
    names, camera = sorted(poses), truth.cameras[min(truth.cameras)]
    options = ColmapOptions(
        max_features=_FEATURES,
        camera_model=camera.model.name,
        camera_params=params(camera),
        seed=_SEED,
    )
    found = two_view(data / "images", names, output, options)
    return pair_result(pair, SIFT, names, found, poses, "" if found else "no geometry")


def _ours(
    images: list[Path], output: Path, config: ReconstructConfig
) -> tuple[dict[str, Float64], str]:
    try:
        result = reconstruct(images, output, config)
    except VggtSfmError as error:
        return {}, str(error)
    found = poses_by_name(result.reconstruction())
    return {Path(name).name: pose for name, pose in found.items()}, result.report.line


def two_view(
    images: Path, names: list[str], folder: Path, options: ColmapOptions
) -> dict[str, Float64]:
    """Return the poses of two photographs by SIFT and calibrated two-view geometry, if any."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pair.db"
    path.unlink(missing_ok=True)
    extract(images, path, options, names)
    match(path, options, relative_poses=True)
    with pycolmap.Database.open(path) as database:
        ids = {image.name: image.image_id for image in database.read_all_images()}
        first, second = (ids[name] for name in names)
        if not database.exists_two_view_geometry(first, second):
            return {}
        pose = database.read_two_view_geometry(first, second).cam2_from_cam1
    if pose is None:
        return {}
    return {names[0]: np.eye(3, 4), names[1]: np.asarray(pose.matrix())}


def pair_result(
    pair: str,
    cameras: str,
    names: list[str],
    found: dict[str, Float64],
    truth: dict[str, Float64],
    remark: str,
) -> PairResult:
    """Compare the poses of a pair, if there are any, with the truth."""
    missing = np.full((3, 4), np.nan)
    poses, true_poses = (
        np.stack([side.get(name, missing) for name in names]) for side in (found, truth)
    )
    error = float(relative_pose_errors(poses, true_poses, fold_translation=False).pose_deg[0])
    known = round(error, 3) if np.isfinite(error) else None
    return PairResult(pair=pair, cameras=cameras, error_deg=known, remark=remark)


def pooled_errors(results: list[PairResult], cameras: str) -> Float64:
    """Return the (P,) errors of one way of getting cameras, degrees; 180 for a failed pair."""
    mine = [result.error_deg for result in results if result.cameras == cameras]
    return np.array([180.0 if error is None else error for error in mine])


def table(results: list[PairResult]) -> str:
    """Pool the pairs: one row for each way of getting cameras."""
    rows = []
    for cameras in dict.fromkeys(result.cameras for result in results):
        mine = [result.error_deg for result in results if result.cameras == cameras]
        errors = pooled_errors(results, cameras)
        auc = "/".join(f"{auc_exact(errors, t):.1f}" for t in THRESHOLDS)
        posed = sum(error is not None for error in mine)
        rows.append([cameras, f"{posed}/{len(mine)}", auc, f"{np.median(errors):.1f}"])
    return markdown.table(["cameras", "pairs", "exact AUC@5/10/20", "median error °"], rows)


@click.command()
@click.argument("pairs", nargs=-1)
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(pairs: tuple[str, ...], data: Path, output: Path) -> None:
    """Measure pairs and print a table; each pair's errors go to OUTPUT/pairs.jsonl."""
    quiet()
    output.mkdir(parents=True, exist_ok=True)
    chosen = pairs or sorted(path.name for path in (data / FOLDER / "gt").iterdir())
    results: list[PairResult] = []
    with (output / "pairs.jsonl").open("w") as log:
        for pair in chosen:
            found = run_pair(data / FOLDER, pair, output / pair)
            log.writelines(json.dumps(asdict(result)) + "\n" for result in found)
            log.flush()
            results += found
    click.echo(table(results))


if __name__ == "__main__":
    main()
