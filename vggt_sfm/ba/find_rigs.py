"""Where the cameras of known rigs are fixed, by where free images have come to stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.ba.bundle import Bundle, measure
from vggt_sfm.ba.knowledge import KnownRig, KnownSensor
from vggt_sfm.ba.rigs import Rigs
from vggt_sfm.geometry.alignment import usual_rotation
from vggt_sfm.geometry.rigid import compose, invert

# A baseline shorter than this, of the longest, says nothing of the scale.
_SHORT = 1e-3
# A camera is not turned as it is known where most of so many moments have it elsewhere: by more
# than predictions and focal lengths that are off would explain, and than moments differ.
_LEAST_MOMENTS = 3
_MOST_TURNED_DEG, _MOST_SPREADS = 1.0, 4.0


def find_rigs(bundle: Bundle, known: Sequence[KnownRig], good: Bool) -> Rigs | str:
    """Find the cameras of known rigs in a bundle, and their poses in its units.

    Args:
        bundle: Images that move by themselves.
        known: What is known of the rigs.
        good: (M,) observations that fit; images without any say nothing.

    Returns:
        The rigs, or why there are none.
    """
    rigs = _empty_rigs(bundle, known)
    if isinstance(rigs, str):
        return rigs
    sensors = [sensor for rig in known for sensor in rig.sensors]
    placed: Bool = np.bincount(bundle.image_of[good], minlength=len(bundle.names)) > 0
    scale = _scale(bundle.cam_from_world, rigs, placed)
    if not scale > 0:
        return "its cameras stand apart in other directions than is known"
    rigs = rigs.scaled(scale)
    for k in np.flatnonzero(rigs.held & ~rigs.references).tolist():
        turned = _turned_deg(bundle.cam_from_world, rigs, k, placed)
        if turned > 0:
            return f"{sensors[k].name} is turned by {turned:.1f} degrees from what is known"
    poses = rigs.sensor_from_rig.copy()
    found = rigs.held.copy()
    while not found.all():
        relative = [
            _relative(bundle.cam_from_world, rigs, k, placed, found, poses) if not found[k] else []
            for k in range(len(sensors))
        ]
        k = max(range(len(sensors)), key=lambda k: len(relative[k]))
        if not relative[k]:
            lost = sensors[int(np.flatnonzero(~found)[0])]
            return f"no moment has adjusted images of {lost.name} and of another camera"
        poses[k] = _usual_pose(np.stack(relative[k]))
        found[k] = True
    return replace(rigs, sensor_from_rig=poses)


def hold(bundle: Bundle, rigs: Rigs, fits_px: float, candidates: Bool, pinned: Bool) -> Bundle:
    """Place the images of each moment by the one that lets most of its observations fit.

    Args:
        bundle: Images that move by themselves.
        rigs: What is to hold them together, in the same units.
        fits_px: Largest error of an observation that fits, image px.
        candidates: (M,) observations that count.
        pinned: (S,) images that stay where they are.
    """
    fits = np.zeros(len(bundle.names))
    for k in range(len(rigs.rig_of)):
        mine = rigs.sensor_of == k
        tried = rigs.held_together(bundle.cam_from_world, mine.astype(np.float64))
        error = measure(replace(bundle, cam_from_world=tried))[0]
        moment = rigs.moment_of[bundle.image_of[candidates & (error <= fits_px)]]
        count = np.bincount(moment[moment >= 0], minlength=rigs.moment_of.max() + 1)
        fits[mine] = count[rigs.moment_of[mine]]
    rank = np.where(pinned, np.inf, fits)
    poses = rigs.held_together(bundle.cam_from_world, rank)
    return replace(bundle, cam_from_world=poses, rigs=rigs)


def _empty_rigs(bundle: Bundle, known: Sequence[KnownRig]) -> Rigs | str:
    """Find cameras and images; poses are as known, or not yet finite."""
    row_of = {name: s for s, name in enumerate(bundle.names)}
    sensors = [(r, sensor) for r, rig in enumerate(known) for sensor in rig.sensors]
    sensor_of = np.full(len(bundle.names), -1)
    moment_of = np.full(len(bundle.names), -1)
    moments, first = 0, 0
    for rig in known:
        for moment in rig.moments:
            rows = [(k, row_of[name]) for k, name in enumerate(moment) if name in row_of]
            for k, s in rows:
                sensor_of[s], moment_of[s] = first + k, moments
            moments += bool(rows)
        first += len(rig.sensors)
    cameras = _cameras(bundle, sensor_of, [sensor for _, sensor in sensors])
    if isinstance(cameras, str):
        return cameras
    rig_of = np.array([r for r, _ in sensors], np.int64)
    references = np.diff(rig_of, prepend=-1) != 0
    poses = np.full((len(sensors), 3, 4), np.nan)
    for k, (_, sensor) in enumerate(sensors):
        if sensor.cam_from_rig is not None:
            poses[k] = sensor.cam_from_rig
    poses[references] = np.eye(3, 4)
    return Rigs(
        rig_of=rig_of,
        camera_of=cameras,
        sensor_from_rig=poses,
        held=np.isfinite(poses).all(axis=(1, 2)),
        sensor_of=sensor_of,
        moment_of=moment_of,
    )


def _cameras(bundle: Bundle, sensor_of: Int64, sensors: Sequence[KnownSensor]) -> Int64 | str:
    """Return the (K,) camera of each sensor, or why it is none of its own, as COLMAP needs it."""
    cameras = np.full(len(sensors), -1)
    for k, sensor in enumerate(sensors):
        mine = sensor_of == k
        if not mine.any():
            return f"no image of {sensor.name} is in the model"
        cameras[k] = bundle.camera_of[mine][0]
        if (bundle.camera_of[mine] != cameras[k]).any():
            return f"images of {sensor.name} have several intrinsics"
        if (bundle.camera_of[~mine] == cameras[k]).any():
            return f"images of {sensor.name} share intrinsics with others"
    return cameras


def _scale(cam_from_world: Float64, rigs: Rigs, placed: Bool) -> float:
    """Return the usual ratio of found to known baselines; 1 where none is known."""
    ratios = []
    pairs = _pairs(rigs, placed, rigs.held, rigs.held)
    known = [
        compose(rigs.sensor_from_rig[k], invert(rigs.sensor_from_rig[j])) for k, j, *_ in pairs
    ]
    lengths = [float(np.linalg.norm(pose[:, 3])) for pose in known]
    for (_, _, s, t), pose, length in zip(pairs, known, lengths, strict=True):
        if length > _SHORT * max(lengths):
            found = compose(cam_from_world[s], invert(cam_from_world[t]))
            # Along the known one: noise would make a short baseline longer.
            ratios.append(float(found[:, 3] @ pose[:, 3]) / length**2)
    return float(np.median(ratios)) if ratios else 1.0


def _turned_deg(cam_from_world: Float64, rigs: Rigs, k: int, placed: Bool) -> float:
    """Return how far a known camera is turned from where most moments have it; 0 if that may be.

    A wrong turn is no contradiction for tracks: focal lengths and baselines can make up for it.
    """
    found = _relative(cam_from_world, rigs, k, placed, rigs.held, rigs.sensor_from_rig)
    if len(found) < _LEAST_MOMENTS:
        return 0.0
    turns = Rotation.from_matrix(np.stack(found)[:, :, :3])
    usual, _ = usual_rotation(turns)
    spread = float(np.median((turns * usual.inv()).magnitude()))
    known = Rotation.from_matrix(rigs.sensor_from_rig[k, :, :3])
    turned = float((known * usual.inv()).magnitude())
    limit = np.radians(_MOST_TURNED_DEG) + _MOST_SPREADS * spread
    return float(np.degrees(turned)) if turned > limit else 0.0


def _pairs(
    rigs: Rigs, placed: Bool, firsts: Bool, seconds: Bool
) -> list[tuple[int, int, int, int]]:
    """Return pairs of cameras, with images of each, that were placed at one moment."""
    members: dict[int, list[int]] = {}
    for s in np.flatnonzero(placed & (rigs.moment_of >= 0)).tolist():
        members.setdefault(int(rigs.moment_of[s]), []).append(s)
    sensor_of = rigs.sensor_of.tolist()
    return [
        (sensor_of[s], sensor_of[t], s, t)
        for rows in members.values()
        for s in rows
        for t in rows
        if s != t and firsts[sensor_of[s]] and seconds[sensor_of[t]]
    ]


def _relative(
    cam_from_world: Float64, rigs: Rigs, k: int, placed: Bool, found: Bool, poses: Float64
) -> list[Float64]:
    """Return what moments say of the pose of a camera beside those that are found."""
    firsts = np.arange(len(found)) == k
    return [
        compose(compose(cam_from_world[s], invert(cam_from_world[t])), poses[j])
        for _, j, s, t in _pairs(rigs, placed, firsts, found)
    ]


def _usual_pose(poses: Float64) -> Float64:
    """Return what most of (n, 3, 4) poses agree on."""
    rotation, agree = usual_rotation(Rotation.from_matrix(poses[:, :, :3]))
    return np.column_stack([rotation.as_matrix(), np.median(poses[agree, :, 3], axis=0)])
