"""What a broken network says about the images of a fuzz case."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float32, Float64
from vggt_sfm.benchmarks.fuzz_cases import Case
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.scene import Predictions, Scene

_FOCAL_FACTORS = {"double": 2.0, "tenth": 0.1, "zero": 0.0, "negative": -1.0}
_FOCALS = {"1e9": 1e9, "1e-9": 1e-9, "1e300": 1e300, "nan": np.nan, "infinite": np.inf}
_PRINCIPALS = {"outside": -500.0, "1e6": 1e6, "1e300": 1e300}
_DEPTHS = {
    "zero": 0.0, "nan": np.nan, "infinite": np.inf, "negative": -1.0, "1e30": 1e30, "1e-30": 1e-30,
}  # fmt: skip


def predict(
    case: Case,
    rng: np.random.Generator,
    scene: Scene,
    cam_from_world: Float64,
    intrinsics: Float64,
    distance: float,
) -> Predictions:
    """Disturb and damage the truth as a case asks.

    Args:
        case: What is wrong.
        rng: Source of all noise.
        scene: The images.
        cam_from_world: (S, 3, 4) true cameras.
        intrinsics: (S, 3, 3) true ones, original px.
        distance: Typical distance from the cameras to the points, scene units.

    Raises:
        ValueError: If Predictions refuse them.
    """
    network = scene.pixel_maps[0].network
    depth = _depth(case, rng, (case.images, network.height, network.width), distance)
    confidence = rng.random(depth.shape, np.float32)
    world_points = None
    if case.points.endswith("world points"):
        world_points = rng.normal(size=(*depth.shape, 3)).astype(np.float32)
        world_points[:: 2 if case.points == "by world points" else 1, ::3] = np.nan
    return Predictions(
        cam_from_world=_poses(case, rng, cam_from_world, distance),
        intrinsics=_intrinsics(case, rng, scene, intrinsics),
        depth=depth,
        depth_confidence=confidence,
        camera_sources=("fuzz",) * case.images,
        world_points=world_points,
        world_points_confidence=None if world_points is None else confidence.copy(),
    )


def _poses(
    case: Case, rng: np.random.Generator, cam_from_world: Float64, distance: float
) -> Float64:
    axis = rng.normal(size=(case.images, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    turn = Rotation.from_rotvec(axis * np.radians(case.rotation_deg)).as_matrix()
    rotations = turn @ cam_from_world[:, :, :3]
    centers = invert(cam_from_world)[:, :, 3]
    centers = centers + case.center * distance * rng.normal(size=centers.shape)
    poses = np.concatenate([rotations, -rotations @ centers[:, :, None]], axis=2)
    match case.pose:
        case "all equal":
            poses[:] = poses[0]
        case "one far":
            poses[-1, :, 3] += 1e9 * distance
        case "at 1e200":
            poses[:, :, 3] = 1e200
        case "zero translation":
            poses[:, :, 3] = 0
        case "nan":
            poses[-1, 1, 1] = np.nan
        case "infinite":
            poses[-1, 1, 3] = np.inf
        case "mirrored":
            poses[-1, :, 0] *= -1
        case "slightly scaled":
            poses[:, :, :3] *= 1 + 2e-4
        case "scaled":
            poses[-1, :, :3] *= 3
        case "zero":
            poses[-1] = 0
    return poses


def _intrinsics(case: Case, rng: np.random.Generator, scene: Scene, intrinsics: Float64) -> Float64:
    """Return (S, 3, 3) in network px."""
    K = intrinsics.copy()
    diagonal = (slice(None), (0, 1), (0, 1))
    K[diagonal] *= _FOCAL_FACTORS.get(case.focal, 1.0)
    if case.focal in _FOCALS:
        K[diagonal] = _FOCALS[case.focal]
    elif case.focal == "one zero":
        K[0, 0, 0] = 0
    elif case.focal == "each random":
        K[diagonal] *= np.exp(rng.normal(size=(case.images, 2)))
    if case.principal in _PRINCIPALS:
        K[:, :2, 2] = _PRINCIPALS[case.principal]
    scales = np.array([pixel_map.scale for pixel_map in scene.pixel_maps])
    K[:, :2] *= scales[:, :, None]
    return K


def _depth(
    case: Case, rng: np.random.Generator, shape: tuple[int, int, int], distance: float
) -> Float32:
    depth = distance * (1 + 0.1 * rng.normal(size=shape))
    if case.depth == "flat":
        depth[:] = distance
    elif case.depth == "noisy":
        depth *= np.exp(rng.normal(size=shape))
    elif case.depth == "half nan":
        depth[:, ::2] = np.nan
    elif case.depth in _DEPTHS:
        depth[:] = _DEPTHS[case.depth]
    return depth.astype(np.float32)
