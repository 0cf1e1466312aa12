"""The world of known cameras, and predictions brought into it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pycolmap
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Float64
from vggt_sfm.ba.knowledge import Knowledge, KnownCamera, KnownPose, KnownRig, plain_pose
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.alignment import usual_rotation
from vggt_sfm.geometry.rigid import compose, in_moved_world, invert
from vggt_sfm.metrics.trajectory import stand_apart
from vggt_sfm.placing.local_frame import east_north_up
from vggt_sfm.placing.place import sim3d, warn_of
from vggt_sfm.placing.positions import place_by_positions, similarity
from vggt_sfm.placing.report import PlacementReport, Similarity
from vggt_sfm.priors.config import PriorConfig
from vggt_sfm.priors.poses import GivenPoses
from vggt_sfm.scene import PixelMap, Predictions, Scene

# What positions of cameras are trusted to where nobody says it, of their extent. A prediction that
# fits them better does so by chance, and nearly held positions make Ceres stop early.
_OF_EXTENT, _LEAST_OF_EXTENT = 0.02, 1e-3
# A prediction that disagrees with what is known by more sigmas than this is replaced by it.
_MOST_SIGMAS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorld:
    """What is known of cameras, and how predictions come to where it holds."""

    knowledge: Knowledge = field(default_factory=Knowledge)
    known_from_predicted: Similarity | None = None
    """None: nothing says where the world is."""
    placement: PlacementReport | None = None
    """How positions in metres were used, where they are the source."""


def known_world(
    given: GivenPoses,
    cameras: tuple[KnownCamera, ...],
    scene: Scene,
    predictions: Predictions,
    config: PriorConfig,
    rigs: tuple[KnownRig, ...] = (),
) -> KnownWorld:
    """Find where predicted cameras lie in the world of known ones.

    Args:
        given: Known poses or positions.
        cameras: Known intrinsics.
        scene: The photographs.
        predictions: Of these.
        config: How firmly poses are known.
        rigs: Cameras that are fixed to each other.

    Raises:
        InputError: If positions do not fit the predicted cameras at all.
    """
    poses = {f.name: pose for f, pose in zip(scene.frames, predictions.cam_from_world, strict=True)}
    if given.cam_from_world:
        known = {name: np.array(pose) for name, pose in given.cam_from_world.items()}
        moving = _onto_poses(poses, known)
        sigma = config.position_sigma
        if sigma is None:
            sigma = _OF_EXTENT * _extent(np.stack([invert(pose)[:, 3] for pose in known.values()]))
        knowledge = Knowledge(
            cameras=cameras,
            rigs=rigs,
            poses={
                name: KnownPose(
                    cam_from_world=plain_pose(pose),
                    rotation_sigma_rad=float(np.radians(config.rotation_sigma_deg)),
                    position_sigma=sigma,
                )
                for name, pose in known.items()
            },
        )
        return KnownWorld(knowledge=knowledge, known_from_predicted=moving)
    if given.positions:
        return _by_positions(given, Knowledge(cameras=cameras, rigs=rigs), poses, config)
    return KnownWorld(knowledge=Knowledge(cameras=cameras, rigs=rigs))


def into_known_world(predictions: Predictions, scene: Scene, world: KnownWorld) -> Predictions:
    """Move predictions into the world of known cameras, and let those count.

    A predicted camera that agrees with what is known of it stays, since neighbours and depth fit
    it; one that does not gives way. Known pinhole intrinsics take the place of predicted ones.
    """
    intrinsics = predictions.intrinsics.copy()
    for s, (frame, pixel_map) in enumerate(zip(scene.frames, scene.pixel_maps, strict=True)):
        camera = world.knowledge.camera_of(frame.name)
        if camera is not None:
            intrinsics[s] = _network_intrinsics(camera, intrinsics[s], pixel_map)
    predictions = replace(predictions, intrinsics=intrinsics)
    moving = world.known_from_predicted
    if moving is None:
        return predictions
    poses = _moved(predictions.cam_from_world, moving)
    sources = list(predictions.camera_sources)
    for s, frame in enumerate(scene.frames):
        known = world.knowledge.poses.get(frame.name)
        if known is not None and _contradicts(poses[s], known):
            poses[s], sources[s] = known.matrix, "known"
    scale = np.float32(moving.scale)
    points = predictions.world_points
    if points is not None:
        flat = sim3d(moving) * points.reshape(-1, 3).astype(np.float64)
        points = np.asarray(flat, np.float32).reshape(points.shape)
    return replace(
        predictions,
        cam_from_world=poses,
        depth=predictions.depth * scale,
        world_points=points,
        camera_sources=tuple(sources),
    )


def _network_intrinsics(camera: KnownCamera, predicted: Float64, pixel_map: PixelMap) -> Float64:
    """Return known intrinsics as a (3, 3) K of the network's pixels; a fisheye lens has none."""
    known = pycolmap.Camera(
        model=camera.model, width=0, height=0, params=np.array(camera.params, np.float64)
    )
    if known.is_perspective_fisheye():
        return predicted
    return pixel_map.intrinsics_to_network(known.calibration_matrix())


def _by_positions(
    given: GivenPoses,
    others: Knowledge,
    poses: dict[str, Float64],
    config: PriorConfig,
) -> KnownWorld:
    """Let positions say where the world is, but those that contradict; rotations stay open."""
    found = place_by_positions(given.source, poses, given.positions)
    if found.new_from_old is None:
        raise InputError(f"--pose-prior: {found.reason}")
    warn_of(found)
    if given.geographic:
        xyz, _ = east_north_up(list(given.geographic.values()))
        where = dict(zip(given.geographic, xyz, strict=True))
    else:
        where = {n: np.array([p.x_m, p.y_m, p.z_m], np.float64) for n, p in given.local.items()}
    used = [each.name for each in found.used]
    moved = _moved(np.stack([poses[name] for name in used]), found.new_from_old)
    least = _LEAST_OF_EXTENT * _extent(np.stack([where[name] for name in used]))
    usual = max(found.rms_m or 0.0, least)
    known = {}
    for name, pose in zip(used, moved, strict=True):
        sigma = given.positions[name].sigma_m or usual
        there = np.concatenate([pose[:, :3], (-pose[:, :3] @ where[name])[:, None]], axis=1)
        known[name] = KnownPose(
            cam_from_world=plain_pose(there),
            position_sigma=config.position_sigma if config.position_sigma is not None else sigma,
        )
    stays = similarity(1.0, np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3))
    return KnownWorld(
        knowledge=replace(others, poses=known),
        known_from_predicted=found.new_from_old,
        placement=replace(found, applied=True, new_from_old=stays),
    )


def _onto_poses(poses: dict[str, Float64], known: dict[str, Float64]) -> Similarity:
    """Find the similarity that most cameras agree on: medians, so that single ones may be wrong.

    Not ``align_worlds``, which believes centres before orientations: of predictions, which know
    turns to a degree and baselines badly, it was seen to turn the world by several degrees more.
    """
    predicted = np.stack([poses[name] for name in known])
    wanted = np.stack(list(known.values()))
    turns = Rotation.from_matrix(np.swapaxes(wanted[:, :, :3], 1, 2) @ predicted[:, :, :3])
    turn, agree = usual_rotation(turns)
    old, new = invert(predicted)[agree, :, 3], invert(wanted)[agree, :, 3]
    scale = _usual_ratio(old, new)
    shift = np.median(new - scale * turn.apply(old), axis=0)
    return similarity(scale, turn.as_quat(), shift)


def _usual_ratio(old: Float64, new: Float64) -> float:
    """Return the median ratio of distances between the same points; 1 where they are one place."""
    if not (stand_apart(old) and stand_apart(new)):
        return 1.0
    before, after = pdist(old), pdist(new)
    long = (before > 1e-6 * before.max()) & (after > 1e-6 * after.max())
    return float(np.median(after[long] / before[long]))


def _extent(xyz: Float64) -> float:
    """Return how far positions are from their middle, usually; 1 for a single place."""
    if not stand_apart(xyz):
        return 1.0
    return float(np.linalg.norm(xyz - xyz.mean(axis=0), axis=1).mean())


def _moved(cam_from_world: Float64, moving: Similarity) -> Float64:
    turn = Rotation.from_quat(moving.quat_xyzw).as_matrix()
    return in_moved_world(cam_from_world, moving.scale, turn, np.array(moving.translation))


def _contradicts(cam_from_world: Float64, known: KnownPose) -> bool:
    difference = compose(cam_from_world, invert(known.matrix))
    turn = Rotation.from_matrix(difference[:, :3]).magnitude()
    center = invert(cam_from_world)[:, 3] - invert(known.matrix)[:, 3]
    away = float(np.linalg.norm(center))
    return bool(
        turn > _MOST_SIGMAS * known.rotation_sigma_rad or away > _MOST_SIGMAS * known.position_sigma
    )
