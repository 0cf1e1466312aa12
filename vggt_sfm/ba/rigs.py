"""Cameras that are fixed to each other, as flat arrays beside those of a bundle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vggt_sfm._checks import Bool, Float64, Int64, freeze
from vggt_sfm.geometry.rigid import compose, invert


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rigs:
    """K cameras of rigs, and which of S images they took at which of F moments.

    The first camera of a rig is its reference: its pose is that of the rig. A moment is of one
    rig and has one image or none of each camera.
    """

    rig_of: Int64  # (K,) ascending
    camera_of: Int64  # (K,) row in ``Bundle.cameras``
    sensor_from_rig: Float64  # (K, 3, 4) scene units; identity for a reference
    held: Bool  # (K,) known: only the scale of the scene moves them
    sensor_of: Int64  # (S,) row of the camera; -1: the image moves by itself
    moment_of: Int64  # (S,) 0 to F - 1; -1 likewise

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def references(self) -> Bool:
        """(K,) cameras whose pose is that of their rig."""
        return np.asarray(np.diff(self.rig_of, prepend=-1) != 0)

    @property
    def leads(self) -> Bool:
        """(S,) images whose pose is that of their rig, or that are in none."""
        return np.asarray((self.sensor_of < 0) | self.references[self.sensor_of])

    def shared(self, images: Bool) -> Bool:
        """Mark the (S,) images that were taken at a moment of one of some images."""
        moments = np.zeros(self.moment_of.max() + 1, bool)
        moments[self.moment_of[images & (self.moment_of >= 0)]] = True
        return np.asarray((self.moment_of >= 0) & moments[self.moment_of])

    def scaled(self, scale: float) -> Rigs:
        """Return the rigs in a scene that was scaled."""
        moved = self.sensor_from_rig.copy()
        moved[:, :, 3] *= scale
        return replace(self, sensor_from_rig=moved)

    def held_together(self, cam_from_world: Float64, rank: Float64) -> Float64:
        """Place the images of each moment by one of them.

        Args:
            cam_from_world: (S, 3, 4) poses, of which some need not be finite.
            rank: (S,) that of highest rank stays; among equals, the reference.

        Returns:
            (S, 3, 4) poses, equal to the given ones for images in no rig.
        """
        finite = np.isfinite(cam_from_world).all(axis=(1, 2))
        rank = np.where(finite, rank, -np.inf)
        mine = np.flatnonzero(self.moment_of >= 0)
        sensor, moment = self.sensor_of[mine], self.moment_of[mine]
        order = np.lexsort((-sensor, rank[mine], moment))
        last = np.flatnonzero(np.diff(moment[order], append=-1) != 0)
        first = mine[order[last]]  # one a moment
        rig_from_world = compose(
            invert(self.sensor_from_rig[self.sensor_of[first]]), cam_from_world[first]
        )
        poses = cam_from_world.copy()
        poses[mine] = compose(self.sensor_from_rig[sensor], rig_from_world[moment])
        poses[first] = cam_from_world[first]
        return poses
