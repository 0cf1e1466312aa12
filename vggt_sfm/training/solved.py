"""What the embedded model finds out about a pool's scenes before it knows their depth.

The depth head learns from real matches and real cameras, with the errors that they have.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import click
import numpy as np

from vggt_sfm._checks import Float32, Int64
from vggt_sfm._log import SilentProgress
from vggt_sfm.errors import InputError
from vggt_sfm.models.tiny.model import TinyModel
from vggt_sfm.models.tiny.sweep import shared_matches
from vggt_sfm.scene import Frame, PixelMap, Scene, Size
from vggt_sfm.training.arrays import load_record, readable, save_record
from vggt_sfm.training.photograph import photograph
from vggt_sfm.training.pool import Shard, colors, load_shard

_FEWEST = 2  # views


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SolvedShard:
    """Cameras and sparse depth of some of the V views of N scenes; the rows of others are unused.

    The median depth of a scene is one unit.
    """

    views: Int64  # (N, V) which views were solved, then -1
    sparse: Float32  # (N, V, r, c) depth, NaN where there is no match
    cam_from_world: Float32  # (N, V, 3, 4)
    intrinsics: Float32  # (N, V, 3, 3) px
    links: Float32  # (N, V, V) number of verified matches


def solve_shard(model: TinyModel, shard: Shard, seed: int) -> SolvedShard:
    """Solve two to all views of each scene, photographed anew.

    Args:
        model: Only its depth head is not used.
        shard: Rendered views.
        seed: Decides which views, and how they are photographed.
    """
    rng = np.random.default_rng(seed)
    count = shard.image.shape[1]
    rows = []
    for scene in range(len(shard.image)):
        views = rng.permutation(count)[: int(rng.integers(_FEWEST, count + 1))]
        rows.append(_solve(model, shard, scene, views, rng))
    return SolvedShard(
        **{f.name: np.stack([getattr(row, f.name) for row in rows]) for f in fields(SolvedShard)}
    )


def _solve(
    model: TinyModel, shard: Shard, scene: int, views: Int64, rng: np.random.Generator
) -> SolvedShard:
    """One scene, without the first axis."""
    images = photograph(colors(shard, scene, views), rng).numpy()
    solved = model.solve(images, _scene(images, shard.intrinsics[scene, views]), SilentProgress())
    few, count = len(views), shard.image.shape[1]

    def filled(values: np.ndarray) -> Float32:
        rest = np.zeros((count - few, *values.shape[1:]))
        return np.concatenate([values, rest]).astype(np.float32)

    links = np.zeros((count, count), np.float32)
    links[:few, :few] = shared_matches(solved.solution.edges, few)
    return SolvedShard(
        views=np.concatenate([views, np.full(count - few, -1)]),
        sparse=filled(solved.sparse),
        cam_from_world=filled(solved.solution.cam_from_world),
        intrinsics=filled(solved.solution.intrinsics),
        links=links,
    )


def _scene(images: Float32, K: np.ndarray) -> Scene:
    """Frames of (S, 3, H, W) images; those of equal focal length are of one camera."""
    size = Size(images.shape[3], images.shape[2])
    pixel_map = PixelMap(original=size, network=size, scale=(1.0, 1.0), offset=(0.0, 0.0))
    frames = [
        Frame(name=f"{s}", path=f"{s}", size=size, sha256="", camera_key=f"{focal}")
        for s, focal in enumerate(K[:, 0, 0])
    ]
    return Scene(frames=tuple(frames), pixel_maps=(pixel_map,) * len(frames))


def path_of_solved(shard: Path) -> Path:
    """Return where a pool's shard's solved views are."""
    return shard.with_name(f"solved-{shard.name}")


def solve_pool(model: TinyModel, pool: Path) -> None:
    """Solve what was not solved yet of a pool.

    Raises:
        InputError: If there are no shards, or one is damaged.
    """
    shards = sorted([*pool.glob("train-*.npz"), *pool.glob("val-*.npz")])
    if not shards:
        raise InputError(f"{pool}: no shards; make some with vggt_sfm.training.render_pool")
    for number, path in enumerate(shards):
        target = path_of_solved(path)
        if target.exists():
            continue
        solved = solve_shard(model, load_shard(path), number)
        save_record(target, solved)
        click.echo(f"{target.name}: {len(solved.views)} scenes", err=True)


def load_solved(path: Path) -> SolvedShard:
    """Read what :func:`solve_pool` wrote.

    Raises:
        InputError: If the file is missing or damaged.
    """
    return load_record(path, SolvedShard, "solved views")


SolvedPool = list[tuple[Shard, SolvedShard]]


def load_solved_pool(shards: list[Path]) -> SolvedPool:
    """Read shards with what was solved of them; damaged ones are skipped with a warning.

    Raises:
        InputError: If none can be read.
    """
    hint = " with what was solved of it; make that with vggt_sfm.training.tiny solve"
    return readable(shards, lambda p: (load_shard(p), load_solved(path_of_solved(p))), hint)
