"""What a user knows of cameras before the photographs are looked at, and how firmly."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vggt_sfm._checks import Float64, check_rotations, check_shape


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCamera:
    """Intrinsics of the camera that took some of the images, px of these images."""

    model: str
    """COLMAP camera model."""
    params: tuple[float, ...]
    """In COLMAP's order."""
    sigma: tuple[float, ...]
    """Standard deviation of each parameter; 0 everywhere: they stay as they are."""
    names: tuple[str, ...]
    """The images."""

    def __post_init__(self) -> None:
        if len(self.params) != len(self.sigma) or not all(sigma >= 0 for sigma in self.sigma):
            raise ValueError("KnownCamera: each parameter needs a standard deviation, 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPose:
    """Where one image was taken, in the world of the model."""

    cam_from_world: tuple[tuple[float, ...], ...]
    """(3, 4), OpenCV axes."""
    rotation_sigma_rad: float = np.inf
    """About each axis of the camera; infinite: only the position is known."""
    position_sigma: float
    """Of the camera's centre along each axis, scene units; 0, with 0 for the rotation, holds it."""

    def __post_init__(self) -> None:
        check_shape("KnownPose.cam_from_world", self.matrix, "3 4")
        check_rotations("KnownPose.cam_from_world", self.matrix[None, :, :3])
        if not (self.rotation_sigma_rad >= 0 and self.position_sigma >= 0):
            raise ValueError("KnownPose: standard deviations must be 0 or more")

    @property
    def matrix(self) -> Float64:
        """(3, 4) cam_from_world."""
        return np.array(self.cam_from_world, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSensor:
    """One camera of a rig."""

    name: str
    """For people."""
    cam_from_rig: tuple[tuple[float, ...], ...] | None = None
    """(3, 4), OpenCV axes, in units of its source; None: to be found."""

    def __post_init__(self) -> None:
        if self.cam_from_rig is not None:
            pose = np.array(self.cam_from_rig, np.float64)
            check_shape("KnownSensor.cam_from_rig", pose, "3 4")
            check_rotations("KnownSensor.cam_from_rig", pose[None, :, :3])


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRig:
    """Cameras that are fixed to each other, and what they took at the same time."""

    sensors: tuple[KnownSensor, ...]
    """The first is the reference: its pose is that of the rig."""
    moments: tuple[tuple[str | None, ...], ...]
    """Of each moment, the image of each sensor; None where it has none."""

    def __post_init__(self) -> None:
        if len(self.sensors) < 2:
            raise ValueError(f"KnownRig: {len(self.sensors)} sensors; two make a rig")
        if not all(len(moment) == len(self.sensors) for moment in self.moments):
            raise ValueError("KnownRig: each moment needs an image or None of each sensor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """All that is known; nothing by default."""

    cameras: tuple[KnownCamera, ...] = ()
    poses: dict[str, KnownPose] = field(default_factory=dict)
    """By image name."""
    rigs: tuple[KnownRig, ...] = ()

    def camera_of(self, name: str) -> KnownCamera | None:
        """Return what is known of an image's intrinsics."""
        return next((camera for camera in self.cameras if name in camera.names), None)


NOTHING = Knowledge()


def plain_pose(cam_from_world: Float64) -> tuple[tuple[float, ...], ...]:
    """Return a (3, 4) pose as a ``KnownPose`` has it."""
    return tuple(tuple(map(float, row)) for row in cam_from_world)
