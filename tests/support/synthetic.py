"""Synthetic scenes for tests: exact geometry, and noise where a test asks for it.

What is measured rather than tested is made by ``benchmarks/synthetic.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.geometry.cameras import project
from vggt_sfm.geometry.rigid import invert, transform_points
from vggt_sfm.scene import Frame, PixelMap, Predictions, Scene, Size, Tracks

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SyntheticScene:
    """Photographs of a point cloud, in original pixels, and what a perfect network would say."""

    scene: Scene
    cam_from_world: Float64  # (S, 3, 4)
    intrinsics: Float64  # (S, 3, 3) original px
    xyz: Float64  # (N, 3)
    tracks: Tracks
    predictions: Predictions


def synthetic_scene(
    *,
    num_frames: int = 8,
    num_points: int = 300,
    arc_deg: float = 60.0,
    pixel_noise: float = 0.0,
    outliers: float = 0.0,
    size: Size = Size(400, 300),  # noqa: B008  (an immutable tuple)
    seed: int = 0,
    poses: Float64 | None = None,
) -> SyntheticScene:
    """Put cameras on an arc around a cloud of points that all of them look at.

    Args:
        num_frames: Cameras.
        num_points: Points, in a box of size 2 around the origin.
        arc_deg: Angle between the first and the last camera.
        pixel_noise: Standard deviation of the observations, px.
        outliers: Share of observations that are moved by up to 100 px.
        size: Image size; the network sees half of it.
        seed: Seed of everything random.
        poses: (num_frames, 3, 4) other cameras than those on the arc.
    """
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-1, 1, (num_points, 3))
    cam_from_world = orbit(num_frames, arc_deg) if poses is None else poses
    focal = 1.1 * max(size)
    K = np.array([[focal, 0, size.width / 2], [0, focal, size.height / 2], [0, 0, 1]])
    intrinsics = np.tile(K, (num_frames, 1, 1))
    xy, depth = project(xyz[None], cam_from_world[:, None], intrinsics[:, None])
    xy = xy + pixel_noise * rng.normal(size=xy.shape)
    wrong = rng.random(xy.shape[:2]) < outliers
    xy[wrong] += rng.uniform(-100, 100, (int(wrong.sum()), 2))
    visible = ((xy >= 0) & (xy <= np.array(size))).all(axis=-1) & (depth > 0)
    visible &= visible.sum(axis=0) >= 2
    track, frame = np.nonzero(visible.T)
    _, track = np.unique(track, return_inverse=True)
    seen = visible.any(axis=0)
    tracks = Tracks(
        track_index=track.astype(np.int64),
        frame_index=frame.astype(np.int64),
        xy=np.swapaxes(xy, 0, 1)[visible.T],
        xyz=xyz[seen],
        color=rng.integers(0, 255, (int(seen.sum()), 3), dtype=np.uint8),
        source=np.zeros(int(seen.sum()), np.uint8),
        source_names=("synthetic",),
    )
    scene = plain_scene(num_frames, size)
    network_from_original = np.diag([0.5, 0.5, 1.0])
    height, width = size.height // 2, size.width // 2
    predictions = Predictions(
        cam_from_world=cam_from_world,
        intrinsics=network_from_original @ intrinsics,
        depth=np.full((num_frames, height, width), 5.0, np.float32),
        depth_confidence=np.ones((num_frames, height, width), np.float32),
        camera_sources=("synthetic",) * num_frames,
    )
    return SyntheticScene(
        scene=scene,
        cam_from_world=cam_from_world,
        intrinsics=intrinsics,
        xyz=xyz[seen],
        tracks=tracks,
        predictions=predictions,
    )


def orbit(num_frames: int, arc_deg: float, radius: float = 5.0) -> Float64:
    """Return (S, 3, 4) cameras on an arc in the xz plane that look at the origin."""
    angles = np.radians(np.linspace(-arc_deg / 2, arc_deg / 2, num_frames))
    rotations = Rotation.from_rotvec(angles[:, None] * [0.0, 1.0, 0.0]).as_matrix()
    # A slight rise keeps the centres off one plane with the points.
    heights = 0.3 * np.sin(3 * angles)
    translations = np.stack([np.zeros_like(angles), heights, np.full_like(angles, radius)], axis=1)
    return np.concatenate([rotations, translations[..., None]], axis=2)


def plain_scene(num_frames: int, size: Size) -> Scene:
    """Return frames of one camera whose network input is half their size."""
    frames = tuple(
        Frame(
            name=f"{s:03d}.png", path=f"/nowhere/{s:03d}.png", size=size, sha256="", camera_key="a"
        )
        for s in range(num_frames)
    )
    pixel_map = PixelMap(
        original=size,
        network=Size(size.width // 2, size.height // 2),
        scale=(0.5, 0.5),
        offset=(0.0, 0.0),
    )
    return Scene(frames=frames, pixel_maps=(pixel_map,) * num_frames)


def disturbed(
    data: SyntheticScene,
    *,
    rotation_deg: float = 0.0,
    center: float = 0.0,
    focal: float = 1.0,
    depth: float = 0.0,
    seed: int = 0,
) -> SyntheticScene:
    """Return the scene with errors in the predicted cameras and in the seeds of the tracks.

    Args:
        data: The scene.
        rotation_deg: Mean angle of an independent rotation error of each camera.
        center: Standard deviation of the camera centres, scene units (the orbit's radius is 5).
        focal: Factor on every predicted focal length.
        depth: Relative standard deviation of the depth of each seed.
        seed: Seed of the errors.
    """
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=(len(data.cam_from_world), 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.radians(rotation_deg) * np.abs(rng.normal(size=len(axis))) * np.sqrt(np.pi / 2)
    rotations = (
        Rotation.from_rotvec(axis * angle[:, None]).as_matrix() @ data.cam_from_world[:, :, :3]
    )
    centers = invert(data.cam_from_world)[:, :, 3] + center * rng.normal(size=axis.shape)
    translations = -np.einsum("sij,sj->si", rotations, centers)
    cam_from_world = np.concatenate([rotations, translations[..., None]], axis=2)
    first = np.flatnonzero(np.diff(data.tracks.track_index, prepend=-1))
    frame = data.tracks.frame_index[first]
    # Each point as its first camera sees it, but from where that camera is believed to be.
    in_camera = np.einsum("nij,nj->ni", data.cam_from_world[frame, :, :3], data.xyz)
    in_camera += data.cam_from_world[frame, :, 3]
    in_camera *= 1 + depth * rng.normal(size=(len(in_camera), 1))
    world_from_cam = invert(cam_from_world)[frame]
    xyz = np.einsum("nij,nj->ni", world_from_cam[:, :, :3], in_camera) + world_from_cam[:, :, 3]
    intrinsics = data.predictions.intrinsics.copy()
    intrinsics[:, (0, 1), (0, 1)] *= focal
    return replace(
        data,
        predictions=replace(
            data.predictions,
            cam_from_world=cam_from_world,
            intrinsics=intrinsics,
        ),
        tracks=replace(data.tracks, xyz=xyz),
    )


def with_frames(data: SyntheticScene, **changes: list[Any]) -> SyntheticScene:
    """The scene with fields of its frames replaced, one value a frame."""
    frames = tuple(
        replace(frame, **{name: values[s] for name, values in changes.items()})
        for s, frame in enumerate(data.scene.frames)
    )
    return replace(data, scene=Scene(frames=frames, pixel_maps=data.scene.pixel_maps))


def through_lens(data: SyntheticScene, camera: pycolmap.Camera, noise_px: float) -> SyntheticScene:
    """The scene as another camera sees it; predictions do not know of it."""
    rng = np.random.default_rng(0)
    xy = np.empty_like(data.tracks.xy)
    for s, pose in enumerate(data.cam_from_world):
        rows = data.tracks.frame_index == s
        in_camera = transform_points(pose, data.xyz[data.tracks.track_index[rows]])
        xy[rows] = camera.img_from_cam(in_camera)
    xy += rng.normal(0, noise_px, xy.shape)
    return replace(data, tracks=replace(data.tracks, xy=xy))
