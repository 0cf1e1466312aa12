"""Synthetic photographs with exact geometry, and predictions of them that are wrong on purpose.

Nothing here knows how anything is solved: points are seeded from predicted cameras and predicted
depth, without triangulation, as the track stage does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.benchmarks.disturbed import Errors, disturbed_depth, disturbed_poses
from vggt_sfm.geometry.cameras import project, unproject
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.scene import Frame, PixelMap, Predictions, Scene, Size, Tracks

SIZE = Size(1024, 768)
_RADIUS = 5.0  # of the orbit, scene units
_MEAN_STRETCH = 6.0  # views; about five of them have the point in the image
_SHIFT_PX = (15.0, 100.0)  # of an outlier
_WHOLLY_RANDOM = 0.25  # of the outliers; the others are shifted


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is photographed, and how well its tracks are."""

    cameras: int = 20
    tracks: int = 2000
    layout: Literal["orbit", "walk"] = "orbit"
    arc_deg: float = 120.0
    """Angle of the orbit from the first camera to the last."""
    noise_px: float = 0.5
    """Standard deviation of good observations, px."""
    outlier_tracks: float = 0.0
    """Share of the tracks in which half of the observations, or all, are wrong."""
    outlier_observations: float = 0.0
    """Share of the observations that are wrong, of all tracks alike."""
    max_k1: float = 0.0
    """Largest size of the radial distortion, as SIMPLE_RADIAL has it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Problem:
    """Photographs, a prediction of them, and the truth."""

    scene: Scene
    predictions: Predictions
    tracks: Tracks
    cam_from_world: Float64  # (S, 3, 4) the truth
    focal_px: float
    k1: float


def problem(setup: Setup, errors: Errors, seed: int) -> Problem:
    """Make photographs of a cloud of points and a prediction of them.

    Args:
        setup: What is photographed.
        errors: How wrong the prediction is.
        seed: Of everything random. The photographs do not depend on ``errors``.
    """
    rng, rng_errors = np.random.default_rng((seed, 0)), np.random.default_rng((seed, 1))
    focal = float(rng.uniform(0.9, 1.2) * SIZE.width)
    k1 = float(rng.uniform(-setup.max_k1, setup.max_k1))
    K = np.array([[focal, 0, SIZE.width / 2], [0, focal, SIZE.height / 2], [0, 0, 1]])
    poses = orbit(setup, rng) if setup.layout == "orbit" else walk(setup, rng)
    track, frame, xy, depth = _photograph(setup, poses, K, k1, rng)
    xy = xy + setup.noise_px * rng.standard_normal(xy.shape)
    wrong = _outliers(setup, track, rng)
    xy[wrong] = _misplaced(xy[wrong], rng)
    xy = np.clip(xy, 0, SIZE)

    believed = disturbed_poses(poses, errors, rng_errors)
    believed_K = K.copy()
    believed_K[(0, 1), (0, 1)] *= np.exp(rng_errors.choice((-1, 1)) * np.log1p(errors.focal))
    # Each track where the first image that sees it is believed to see it.
    first = np.flatnonzero(np.diff(track, prepend=-1))
    depth = disturbed_depth(
        depth[first], frame[first] / max(setup.cameras - 1, 1), errors, rng_errors
    )
    xyz = unproject(xy[first], depth, believed_K, believed[frame[first]])
    return Problem(
        scene=_scene(setup.cameras),
        predictions=_predictions(believed, believed_K, float(np.median(depth))),
        tracks=Tracks(
            track_index=track,
            frame_index=frame,
            xy=xy,
            xyz=xyz,
            color=np.zeros((len(xyz), 3), np.uint8),
            source=np.zeros(len(xyz), np.uint8),
            source_names=("synthetic",),
        ),
        cam_from_world=poses,
        focal_px=focal,
        k1=k1,
    )


def orbit(setup: Setup, rng: np.random.Generator) -> Float64:
    """Return (S, 3, 4) cameras on an arc, at changing heights, that look roughly at the origin."""
    angle = np.radians(np.linspace(-setup.arc_deg / 2, setup.arc_deg / 2, setup.cameras))
    # On a narrow arc everything else shrinks along, or it would not be narrow.
    width = min(np.radians(setup.arc_deg), 1.0)
    height = width * (
        np.sin(3 * angle + rng.uniform(0, 2 * np.pi)) + 0.2 * rng.normal(size=len(angle))
    )
    radius = _RADIUS * (1 + 0.05 * width * rng.normal(size=len(angle)))
    centers = np.stack([radius * np.sin(angle), height, -radius * np.cos(angle)], axis=1)
    return _looking(centers, rng.normal(scale=0.2, size=centers.shape) - centers, rng)


def walk(setup: Setup, rng: np.random.Generator) -> Float64:
    """Return (S, 3, 4) cameras that walk forward, swaying, and look roughly ahead."""
    steps = 0.5 * np.arange(setup.cameras)
    sway = 0.1 * rng.normal(size=(2, setup.cameras))
    centers = np.stack([np.sin(0.4 * steps) + sway[0], sway[1], steps], axis=1)
    ahead = np.stack([0.4 * np.cos(0.4 * steps), np.zeros_like(steps), np.ones_like(steps)], axis=1)
    return _looking(centers, ahead + rng.normal(scale=0.05, size=ahead.shape), rng)


def _looking(centers: Float64, forward: Float64, rng: np.random.Generator) -> Float64:
    """Return (S, 3, 4) cameras by (S, 3) centres and directions, rolled by a few degrees."""
    z = forward / np.linalg.norm(forward, axis=1, keepdims=True)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    upright = np.stack([x, np.cross(z, x), z], axis=1)
    roll = np.radians(rng.normal(scale=3.0, size=(len(centers), 1))) * [0.0, 0.0, 1.0]
    rotation = Rotation.from_rotvec(roll).as_matrix() @ upright
    return np.concatenate([rotation, -rotation @ centers[..., None]], axis=2)


def _photograph(
    setup: Setup, poses: Float64, K: Float64, k1: float, rng: np.random.Generator
) -> tuple[Int64, Int64, Float64, Float64]:
    """Return the (M,) track and frame of each observation, its (M, 2) exact px and (M,) depth."""
    num = 8 * setup.tracks  # many fall outside
    xyz = _points(setup, poses, num, rng)
    # A stretch of neighbouring views, of random length and place.
    length = 2 + rng.poisson(_MEAN_STRETCH - 2, num)
    begin = rng.integers(2 - length, setup.cameras - 1)
    track = np.repeat(np.arange(num), length)
    frame = begin[track] + np.arange(len(track)) - np.repeat(np.cumsum(length) - length, length)
    exists = (frame >= 0) & (frame < setup.cameras)
    track, frame = track[exists], frame[exists]
    xy, depth = project(xyz[track], poses[frame], np.eye(3))
    xy = xy * (1 + k1 * np.square(xy).sum(axis=-1, keepdims=True)) * K[0, 0] + K[:2, 2]
    visible = ((xy >= 0) & (xy <= SIZE)).all(axis=-1)
    chosen = np.flatnonzero(np.bincount(track[visible], minlength=num) >= 2)[: setup.tracks]
    rows = visible & np.isin(track, chosen)
    return np.searchsorted(chosen, track[rows]), frame[rows], xy[rows], depth[rows]


def _points(setup: Setup, poses: Float64, num: int, rng: np.random.Generator) -> Float64:
    """Return (N, 3) points: a thick cloud inside the orbit, or around and ahead of the walk."""
    if setup.layout == "orbit":
        return rng.uniform((-1.8, -1.3, -1.8), (1.8, 1.3, 1.8), (num, 3))
    centers = invert(poses)[:, :, 3]
    near = centers[rng.integers(0, len(centers), num)]
    return near + rng.uniform((-4, -2, 1), (4, 2, 12), (num, 3))


def _outliers(setup: Setup, track: Int64, rng: np.random.Generator) -> Bool:
    """Mark the (M,) observations that are wrong."""
    wrong: Bool = rng.random(len(track)) < setup.outlier_observations
    bad = np.flatnonzero(rng.random(int(track[-1]) + 1) < setup.outlier_tracks)
    for n in bad.tolist():
        rows = np.flatnonzero(track == n)
        wrong[rng.permutation(rows)[: max(len(rows) // 2, 1)]] = True
    return wrong


def _misplaced(xy: Float64, rng: np.random.Generator) -> Float64:
    """Return (n, 2) px somewhere else in the image: some way off, or anywhere."""
    angle, length = rng.uniform(0, 2 * np.pi, len(xy)), rng.uniform(*_SHIFT_PX, len(xy))
    shift = length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    # towards the inside where it would leave the image
    shift = np.where((xy + shift < 0) | (xy + shift > SIZE), -shift, shift)
    anywhere = rng.random((len(xy), 1)) < _WHOLLY_RANDOM
    return np.where(anywhere, rng.uniform((0, 0), SIZE, xy.shape), xy + shift)


def _scene(num_frames: int) -> Scene:
    """Return frames of one camera whose network input is half their size."""
    names = [f"{s:03d}.png" for s in range(num_frames)]
    return Scene(
        frames=tuple(
            Frame(name=name, path=f"/nowhere/{name}", size=SIZE, sha256="", camera_key="a")
            for name in names
        ),
        pixel_maps=(
            PixelMap(
                original=SIZE,
                network=Size(SIZE.width // 2, SIZE.height // 2),
                scale=(0.5, 0.5),
                offset=(0.0, 0.0),
            ),
        )
        * num_frames,
    )


def _predictions(poses: Float64, K: Float64, depth: float) -> Predictions:
    """Return the prediction; its depth maps are flat, the tracks are seeded with other depths."""
    shape = (len(poses), SIZE.height // 2, SIZE.width // 2)
    return Predictions(
        cam_from_world=poses,
        intrinsics=np.tile(np.diag([0.5, 0.5, 1.0]) @ K, (len(poses), 1, 1)),
        depth=np.broadcast_to(np.float32(depth), shape),
        depth_confidence=np.broadcast_to(np.float32(1), shape),
        camera_sources=("synthetic",) * len(poses),
    )
