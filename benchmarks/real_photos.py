"""Feed-forward, adjusted and pycolmap cameras of the same photographs, side by side.

``python -m vggt_sfm.benchmarks.real_photos --data ROOT -o RESULTS [SCENE …]``
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pycolmap
from PIL import Image

from vggt_sfm import ReconstructConfig, reconstruct
from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.colmap_run import ColmapOptions, incremental, quiet
from vggt_sfm.geometry.rigid import compose, invert, rotation_angle_deg
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.metrics.pose import auc_exact, auc_histogram, relative_pose_errors

SCENES = ("fountain-P11", "Herz-Jesus-P8", "7scenes_a", "sacre_coeur")
THRESHOLDS = (1, 3, 5, 10, 30)
FEATURES = 4096  # as in the data sets' README


def score(
    predicted: dict[str, Float64], truth: dict[str, Float64] | None, names: list[str]
) -> dict[str, Any]:
    """Registered images, and both AUC definitions where there is ground truth."""
    row: dict[str, Any] = {"registered": len(predicted), "images": len(names)}
    if truth is None:
        return row
    missing = np.full((3, 4), np.nan)
    poses = np.stack([predicted.get(n, missing) for n in names])
    true_poses = np.stack([truth[n] for n in names])
    strict = relative_pose_errors(poses, true_poses, fold_translation=False)
    folded = relative_pose_errors(poses, true_poses)
    row["auc_exact"] = {str(t): round(auc_exact(strict.pose_deg, t), 2) for t in THRESHOLDS}
    row["auc_histogram"] = {str(t): round(auc_histogram(folded.pose_deg, t), 2) for t in THRESHOLDS}
    row["median_rotation_deg"] = round(float(np.median(strict.rotation_deg)), 3)
    return row


def colmap_incremental(
    images: Path, folder: Path, *, shared_camera: bool
) -> tuple[dict[str, Float64], dict[str, float]]:
    """Run pycolmap's own pipeline with one thread.

    Returns:
        Poses of the largest model, and wall and CPU seconds.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    options = ColmapOptions(shared_camera=shared_camera, max_features=FEATURES)
    largest, _ = incremental(images, folder, options)
    seconds = {
        "seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }
    return ({} if largest is None else poses_by_name(largest)), seconds


def faults(model: pycolmap.Reconstruction, images: Path, reported_px: float | None) -> list[str]:
    """What is wrong with a written model: sizes, observations outside, a wrong error reported."""
    found = []
    for image in model.images.values():
        camera = image.camera
        with Image.open(images / image.name) as photo:
            if photo.size != (camera.width, camera.height):
                found.append(f"{image.name}: {camera.width} x {camera.height}, not {photo.size}")
        xy = np.array([p.xy for p in image.points2D if p.has_point3D()]).reshape(-1, 2)
        outside = int(np.sum(~np.all((xy >= 0) & (xy <= (camera.width, camera.height)), axis=1)))
        if outside:
            found.append(f"{image.name}: {outside} observations outside")
    error = model.compute_mean_reprojection_error()
    if reported_px is None or abs(reported_px - error) > 1e-9 * error:
        found.append(f"{reported_px} px reported, {error} px measured")
    return found


def rotation_agreement(a: dict[str, Float64], b: dict[str, Float64]) -> float | None:
    """Median angle between the relative rotations of two models, degrees."""
    names = sorted(set(a) & set(b))
    if len(names) < 2:
        return None
    angles = []
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            relative = [compose(m[second], invert(m[first]))[:, :3] for m in (a, b)]
            angles.append(float(rotation_angle_deg(relative[0].T @ relative[1])))
    return round(float(np.median(angles)), 3)


def run_scene(data: Path, scene: str, results: Path) -> list[dict[str, Any]]:
    """Measure one scene; one row for each way of getting its cameras."""
    images = data / scene / "images"
    names = sorted(p.name for p in images.iterdir())
    has_truth = (data / scene / "gt").is_dir()
    truth = poses_by_name(pycolmap.Reconstruction(data / scene / "gt")) if has_truth else None
    output = results / scene
    shutil.rmtree(output, ignore_errors=True)
    rows = []
    for mode, ba in (("feed-forward", False), ("+BA", True)):
        wall, cpu = time.perf_counter(), time.process_time()
        result = reconstruct(images, output, ReconstructConfig(ba=ba))
        model = result.reconstruction()
        rows.append(
            {
                "scene": scene,
                "mode": mode,
                **score(poses_by_name(model), truth, names),
                "seconds": round(time.perf_counter() - wall, 2),
                "cpu_seconds": round(time.process_time() - cpu, 2),
                "status": result.report.line,
                "reprojection_px": round(model.compute_mean_reprojection_error(), 3),
                "points": model.num_points3D(),
                "faults": faults(model, images, result.report.mean_reprojection_error_px),
            }
        )
    # the second run found everything but the adjustment in the cache
    rows[1]["seconds"] = round(rows[0]["seconds"] + rows[1]["seconds"], 2)
    rows[1]["cpu_seconds"] = round(rows[0]["cpu_seconds"] + rows[1]["cpu_seconds"], 2)
    adjusted = poses_by_name(model)
    colmap, seconds = colmap_incremental(
        images, output / "colmap", shared_camera=scene != "sacre_coeur"
    )
    rows.append({"scene": scene, "mode": "pycolmap", **score(colmap, truth, names), **seconds})
    rows[1]["rotation_difference_to_pycolmap_deg"] = rotation_agreement(adjusted, colmap)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown."""
    titles = [
        "scene",
        "cameras",
        "registered",
        "exact AUC@1/3/5/10/30",
        "histogram AUC@1/3/5/10/30",
        "wall s",
        "CPU s",
    ]
    cells = [
        [
            row["scene"],
            row["mode"],
            f"{row['registered']}/{row['images']}",
            thresholds_cell(row.get("auc_exact")),
            thresholds_cell(row.get("auc_histogram")),
            f"{row['seconds']:.1f}",
            f"{row['cpu_seconds']:.1f}",
        ]
        for row in rows
    ]
    return markdown.table(titles, cells)


def thresholds_cell(auc: dict[str, float] | None) -> str:
    """Write an AUC at all thresholds, if there is one."""
    return "/".join(f"{auc[str(t)]:.1f}" for t in THRESHOLDS) if auc else "no ground truth"


@click.command()
@click.argument("scenes", nargs=-1)
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(scenes: tuple[str, ...], data: Path, output: Path) -> None:
    """Measure scenes and print a table; all numbers go to OUTPUT/results.jsonl."""
    quiet()
    output.mkdir(parents=True, exist_ok=True)
    rows = []
    with (output / "results.jsonl").open("w") as log:
        for scene in scenes or SCENES:
            for row in run_scene(data, scene, output):
                rows.append(row)
                log.write(json.dumps(row) + "\n")
                log.flush()
    click.echo(table(rows))


if __name__ == "__main__":
    main()
