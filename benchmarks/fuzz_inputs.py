"""Turns a case of the fuzz test into the values that flow through a reconstruction."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Bool, Float64
from vggt_sfm.ba.config import BundleConfig, SeedConfig
from vggt_sfm.benchmarks.fuzz_cases import Case
from vggt_sfm.benchmarks.fuzz_predictions import predict
from vggt_sfm.geometry.cameras import project
from vggt_sfm.scene import Frame, PixelMap, Predictions, Scene, Size, Tracks
from vggt_sfm.tracking.linking import Observations
from vggt_sfm.tracking.seeding import seed_points

_NETWORK = Size(56, 42)
_RADIUS = 5.0  # scene units from the cameras to the middle of the points
_EXIF = {"zero": 0.0, "negative": -500.0, "nan": np.nan, "infinite": np.inf, "huge": 1e12}


class Inputs(NamedTuple):
    """What a reconstruction is made from."""

    scene: Scene
    predictions: Predictions
    tracks: Tracks
    seeding: SeedConfig
    bundle: BundleConfig


def build_inputs(case: Case) -> Inputs:
    """Make the inputs of a case; equal cases give equal inputs.

    Raises:
        ValueError: If Predictions or Tracks refuse what the case asks for.
    """
    rng = np.random.default_rng(case.seed)
    scene = _scene(case, rng)
    sizes = np.array([frame.size for frame in scene.frames], np.float64)
    poses = _poses(case)
    K = np.zeros((case.images, 3, 3))
    K[:, 0, 0] = K[:, 1, 1] = 1.1 * sizes.max(axis=1)
    K[:, :2, 2], K[:, 2, 2] = sizes / 2, 1
    xyz = _cloud(case, rng)
    xy, depth = project(xyz[:, None], poses[None], K[None])
    seen = _seen(case, rng, np.nan_to_num(xy, nan=-1), depth, sizes)
    # The same picture in a world of another size and place
    xyz = case.world_scale * xyz + case.world_offset
    offset = poses[:, :, :3] @ np.full(3, case.world_offset)
    poses[:, :, 3] = case.world_scale * poses[:, :, 3] - offset
    predictions = predict(case, rng, scene, poses, K, case.world_scale * _RADIUS)
    observations = _observations(case, rng, xy, seen, sizes)
    tracks = _tracks(case, scene, predictions, observations, np.tile(xyz, (case.copies, 1)))
    return Inputs(
        scene=scene,
        predictions=predictions,
        tracks=tracks,
        seeding=SeedConfig(**{"camera_model": case.camera_model, **case.seeding}),
        bundle=BundleConfig(**case.bundle),
    )


def _scene(case: Case, rng: np.random.Generator) -> Scene:
    frames, maps = [], []
    for s in range(case.images):
        size = _size(case.sizes, s, rng)
        key = {"one": "a", "two": "ab"[s % 2], "each": str(s), "none": ""}[case.camera_keys]
        exif = _EXIF.get(case.exif, 1.1 * max(size))
        known = case.exif != "none" and (case.exif != "some" or s % 2 == 0)
        frames.append(
            Frame(
                name=f"{s:03d}.png",
                path=f"/nowhere/{s:03d}.png",
                size=size,
                sha256="",
                focal_prior_px=exif if known else None,
                # As io.exif makes them: only images of one size share a key
                camera_key=f"{size.width}x{size.height} {key}" if key else "",
            )
        )
        scale = (_NETWORK.width / size.width, _NETWORK.height / size.height)
        maps.append(PixelMap(original=size, network=_NETWORK, scale=scale, offset=(0.0, 0.0)))
    return Scene(frames=tuple(frames), pixel_maps=tuple(maps))


def _size(kind: str, s: int, rng: np.random.Generator) -> Size:
    if kind == "each":
        return Size(int(rng.integers(20, 3000)), int(rng.integers(20, 3000)))
    if kind == "huge":
        return Size(60_000, 40_000)
    if kind == "dot" and s == 0:
        return Size(1, 1)
    return Size(300, 400) if kind == "two" and s % 2 else Size(400, 300)


def _poses(case: Case) -> Float64:
    """Return (S, 3, 4) cameras around, along or before the origin."""
    t = np.linspace(-0.5, 0.5, case.images) if case.images > 1 else np.zeros(1)
    angle = {"arc": t * np.pi / 3, "turn": t / 4}.get(case.layout, 0 * t)
    rotations = Rotation.from_rotvec(angle[:, None] * [0.0, 1.0, 0.0]).as_matrix()
    translations = np.tile([0.0, 0.0, _RADIUS], (case.images, 1))
    if case.layout == "turn":  # all in one place
        translations = rotations @ [0.0, 0.0, _RADIUS]
    elif case.layout == "line":
        translations[:, 0] = 2 * t
    elif case.layout == "forward":
        translations[:, 2] += 2 * t
    return np.concatenate([rotations, translations[:, :, None]], axis=2)


def _cloud(case: Case, rng: np.random.Generator) -> Float64:
    xyz = rng.uniform(-1, 1, (case.tracks, 3))
    if case.cloud == "two clusters":
        xyz = 0.01 * xyz + np.where(np.arange(case.tracks)[:, None] % 2, 0.8, -0.8)
    flat = {"plane": (2,), "line": (1, 2), "one": (0, 1, 2)}.get(case.cloud, ())
    xyz[:, list(flat)] = 0.25
    return xyz


def _seen(
    case: Case, rng: np.random.Generator, xy: Float64, depth: Float64, sizes: Float64
) -> Bool:
    """Return (N, S): which track sees which image."""
    seen: Bool = ((xy >= 0) & (xy <= sizes)).all(axis=-1) & (depth > 0)
    number, image = np.arange(case.tracks)[:, None], np.arange(case.images)
    if case.lengths == "two":
        seen &= (image - number) % max(case.images, 1) < 2
    elif case.lengths == "one":
        seen &= image == number % case.images
    elif case.lengths == "mixed":
        seen &= rng.random(seen.shape) < 0.5
    seen &= image % case.groups == number % case.groups
    seen[
        :, {"none": case.images, "one": case.images - 1, "half": case.images // 2}[case.lonely] :
    ] = False
    return seen


def _observations(
    case: Case, rng: np.random.Generator, xy: Float64, seen: Bool, sizes: Float64
) -> Observations:
    track, frame = np.nonzero(np.tile(seen, (case.copies, 1)))
    xy = np.tile(xy, (case.copies, 1, 1))[track, frame]
    xy = xy + case.pixel_noise * rng.normal(size=xy.shape)
    size = sizes[frame]
    wrong = rng.random(len(xy)) < case.outliers
    xy[wrong] = rng.random((int(wrong.sum()), 2)) * size[wrong]
    some = rng.random(len(xy)) < (0.2 if case.observed.startswith("some") else 1.0)
    kind = case.observed.removeprefix("some ").removeprefix("all ")
    if kind in ("nan", "infinite"):
        xy[some, rng.integers(0, 2)] = {"nan": np.nan, "infinite": -np.inf}[kind]
    elif kind == "outside":
        xy[some] += size[some]
    elif kind == "border":
        xy = np.round(xy / size) * size
    elif kind == "one pixel":
        xy = size / 2
    source = np.zeros(len(xy), np.uint8)
    return Observations(track.astype(np.int64), frame.astype(np.int64), xy, source)


def _tracks(
    case: Case, scene: Scene, predictions: Predictions, observations: Observations, truth: Float64
) -> Tracks:
    track, frame = observations.track_index.copy(), observations.frame_index.copy()
    xyz = truth.copy()
    if case.points.startswith("by "):
        lifted = seed_points(scene, predictions, observations)
        xyz = np.full(truth.shape, np.nan)
        xyz[: len(lifted)] = lifted  # the last tracks may be seen by no image
    else:
        _damage_points(case, predictions.cam_from_world, xyz)
    if len(track) >= 2:
        wrong: dict[str, tuple[Any, int, int]] = {
            "unsorted": (track, 0, int(track[-1]) + 1),
            "frame twice": (frame, 1, int(frame[0])),
            "frame -1": (frame, 0, -1),
            "frame too large": (frame, -1, case.images),
            "track -1": (track, 0, -1),
            "track too large": (track, -1, len(xyz)),
        }
        if case.order in wrong:
            column, row, value = wrong[case.order]
            column[row] = value
    return Tracks(
        track_index=track,
        frame_index=frame,
        xy=observations.xy,
        xyz=xyz,
        color=np.zeros((len(xyz), 3), np.uint8),
        source=np.zeros(len(xyz), np.uint8),
        source_names=("fuzz",),
    )


def _damage_points(case: Case, cam_from_world: Float64, xyz: Float64) -> None:
    """Put the (N, 3) points where the case wants them."""
    number = np.arange(len(xyz)) % len(cam_from_world)
    rotation, translation = cam_from_world[number, :, :3], cam_from_world[number, :, 3]
    values = {"nan": np.nan, "infinite": np.inf, "1e300": 1e300, "1e-300": 1e-300, "one place": 1.0}
    if case.points in values:
        xyz[:] = values[case.points]
    elif case.points == "some nan":
        xyz[::3, 1] = np.nan
    elif case.points == "far":
        xyz *= 1e8
    elif case.points in ("at centres", "behind"):
        behind = [0.0, 0.0, 0.0 if case.points == "at centres" else -_RADIUS * case.world_scale]
        xyz[:] = np.einsum("nji,nj->ni", rotation, behind - translation)
