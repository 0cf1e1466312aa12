"""Control: the same tracks from SIMULATED starts. How rough may a prediction be?

``python -m vggt_sfm.benchmarks.controls --data ROOT -o FOLDER [SCENE …]`` predicts and tracks,
replaces the network's prediction by disturbed ground truth with flat depth, and adjusts. It says
nothing about any network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import pycolmap
from scipy.spatial.transform import Rotation

from vggt_sfm import ReconstructConfig, reconstruct
from vggt_sfm._checks import Float64
from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.benchmarks import markdown
from vggt_sfm.benchmarks.scores import named_scores
from vggt_sfm.geometry.rigid import compose, invert
from vggt_sfm.io.colmap import poses_by_name
from vggt_sfm.pipelines.stages import INGEST, PREDICT, TRACK
from vggt_sfm.scene import Predictions, Scene
from vggt_sfm.tracking.linking import Observations
from vggt_sfm.tracking.seeding import seed_points

SCENES = ("fountain-P11", "Herz-Jesus-P8")
SEEDS = 3
Start = Callable[[Float64, np.random.Generator], Float64]


def identical(poses: Float64, rng: np.random.Generator) -> Float64:
    """Every camera where the first one is."""
    return np.tile(poses[:1], (len(poses), 1, 1))


def independent(degrees: float, distance: float) -> Start:
    """Each camera turned by about ``degrees`` and moved by a share of the mean distance."""

    def start(poses: Float64, rng: np.random.Generator) -> Float64:
        centers = invert(poses)[:, :, 3]
        reach = np.linalg.norm(centers - centers.mean(0), axis=1).mean()
        axis = rng.standard_normal((len(poses), 3))
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        # half-normal angles whose mean is ``degrees``
        angle = np.abs(rng.standard_normal((len(poses), 1))) * degrees * np.sqrt(np.pi / 2)
        rotation = Rotation.from_rotvec(axis * np.deg2rad(angle)).as_matrix() @ poses[:, :, :3]
        centers = centers + rng.standard_normal(centers.shape) * distance * reach
        return np.concatenate([rotation, -rotation @ centers[..., None]], axis=2)

    return start


def drifting(degrees: float) -> Start:
    """The true relative motions, chained with a turn that grows to ``degrees``."""

    def start(poses: Float64, rng: np.random.Generator) -> Float64:
        axis = rng.standard_normal(3)
        step = np.deg2rad(degrees) / (len(poses) - 1) * axis / np.linalg.norm(axis)
        chain = [poses[0]]
        for before, after in pairwise(poses):
            relative = compose(after, invert(before))
            turn = Rotation.from_rotvec(step).as_matrix()
            chain.append(
                compose(np.column_stack([turn @ relative[:, :3], relative[:, 3]]), chain[-1])
            )
        return np.stack(chain)

    return start


STARTS: dict[str, tuple[Start, float]] = {
    "all cameras identical, focal +0 %": (identical, 1.0),
    "20° independent, flat depth, focal +15 %": (independent(20, 0.4), 1.15),
    "30° independent, flat depth, focal +20 %": (independent(30, 0.6), 1.2),
    "60° drift, flat depth, focal +40 %": (drifting(60), 1.4),
}


def simulated(
    predictions: Predictions,
    truth: Float64,
    K: Float64,
    scene: Scene,
    start: Start,
    focal: float,
    seed: int,
) -> Predictions:
    """Disturbed ground truth in the place of a prediction; every pixel has the same depth."""
    rng = np.random.default_rng(seed)
    intrinsics = predictions.intrinsics.copy()
    for s, pixel_map in enumerate(scene.pixel_maps):
        intrinsics[s, 0, 0] = K[0, 0] * focal * pixel_map.scale[0]
        intrinsics[s, 1, 1] = K[1, 1] * focal * pixel_map.scale[1]
    centers = invert(truth)[:, :, 3]
    depth = 2 * np.linalg.norm(centers - centers.mean(0), axis=1).mean()
    return replace(
        predictions,
        cam_from_world=start(truth, rng),
        intrinsics=intrinsics,
        depth=np.full_like(predictions.depth, depth),
        camera_sources=("simulated",) * len(truth),
    )


def run_control(data: Path, output: Path, name: str) -> list[str]:
    """Return one table row for each start."""
    result = reconstruct(data / name / "images", output / name, ReconstructConfig(until="track"))
    scene, predictions = result.of_stage(INGEST), result.of_stage(PREDICT)
    tracks = result.of_stage(TRACK)
    model = pycolmap.Reconstruction(data / name / "gt")
    truth = poses_by_name(model)
    names = [frame.name for frame in scene.frames]
    poses = np.stack([truth[n] for n in names])
    K = next(iter(model.cameras.values())).calibration_matrix()
    observations = Observations(
        tracks.track_index, tracks.frame_index, tracks.xy, np.zeros(len(tracks.xy), np.uint8)
    )
    rows = []
    for label, (start, focal) in STARTS.items():
        before, after = [], []
        for seed in range(1 if start is identical else SEEDS):
            rough = simulated(predictions, poses, K, scene, start, focal, seed)
            seeded = replace(tracks, xyz=seed_points(scene, rough, observations))
            reconstruction = seed_reconstruction(scene, rough, seeded, SeedConfig())
            adjusted, _ = adjust(reconstruction, BundleConfig(), SilentProgress())
            before.append(named_scores(poses_by_name(reconstruction), truth).auc_exact)
            after.append(named_scores(poses_by_name(adjusted), truth).auc_exact)
        cells = [
            "/".join(f"{min(row[t] for row in found):.1f}" for t in ("5", "30"))
            for found in (before, after)
        ]
        rows.append(markdown.row([name, label, *cells]))
    return rows


@click.command()
@click.argument("scenes", nargs=-1)
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(scenes: tuple[str, ...], data: Path, output: Path) -> None:
    """Print exact AUC@5/@30 before and after, the worst of three seeds."""
    click.echo(markdown.head(["scene", "simulated start", "before", "after"]))
    for scene in scenes or SCENES:
        for row in run_control(data, output, scene):
            click.echo(row)


if __name__ == "__main__":
    main()
