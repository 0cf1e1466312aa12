"""World frames: bring a bundle to unit size for the solver, and back to where it came from."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vggt_sfm._checks import Bool, Float64
from vggt_sfm.ba.bundle import Bundle
from vggt_sfm.geometry.alignment import umeyama
from vggt_sfm.geometry.rigid import in_moved_world, invert


def transform(bundle: Bundle, scale: float, rotation: Float64, translation: Float64) -> Bundle:
    """Move the world: ``new = scale * rotation @ old + translation``."""
    return replace(
        bundle,
        cam_from_world=in_moved_world(bundle.cam_from_world, scale, rotation, translation),
        xyz=scale * bundle.xyz @ rotation.T + translation,
        rigs=bundle.rigs.scaled(scale) if bundle.rigs is not None else None,
    )


class Similarity(NamedTuple):
    """``new = scale * old + translation``."""

    scale: float
    translation: Float64  # (3,)

    def move(self, bundle: Bundle) -> Bundle:
        """Apply it to a world."""
        return transform(bundle, self.scale, np.eye(3), self.translation)

    def move_pose(self, cam_from_world: Float64) -> Float64:
        """Apply it to the world of (…, 3, 4) poses."""
        return in_moved_world(cam_from_world, self.scale, np.eye(3), self.translation)

    def inverse(self) -> Similarity:
        """Return the way back."""
        return Similarity(1 / self.scale, -self.translation / self.scale)


def unit_size(bundle: Bundle, images: Bool, points: Bool) -> Similarity:
    """Find what centres the images and scales their median distance to the points to about five.

    Coordinates near a million make Ceres stop early.

    Args:
        bundle: Anything finite.
        images: (S,) images that count.
        points: (N,) points that count, at least one.
    """
    center = np.median(invert(bundle.cam_from_world[images])[:, :, 3], axis=0)
    distance = float(np.median(np.linalg.norm(bundle.xyz[points] - center, axis=1)))
    scale = 5 / distance if distance > 0 else 1.0
    return Similarity(scale, -scale * center)


def align(bundle: Bundle, target: Bundle, images: Bool, active: Bool) -> Bundle:
    """Move a bundle's world onto another's by the poses they share.

    Each image counts with its centre and the tips of its three axes, as long as its points are
    far; that keeps the alignment defined when all images stand in one place or on one line.

    Args:
        bundle: What to move, all of it.
        target: The same images and points elsewhere.
        images: (S,) images to align by.
        active: (M,) observations from which the distance to the points is taken.
    """
    return transform(
        bundle,
        *umeyama(_axis_tips(bundle, images, active), _axis_tips(target, images, active)),
    )


def _axis_tips(bundle: Bundle, images: Bool, active: Bool) -> Float64:
    """Return the centre and three axis tips of the images as (4 n, 3) points."""
    world_from_cam = invert(bundle.cam_from_world[images])
    centers = world_from_cam[:, :, 3]
    row = np.cumsum(images) - 1
    mine = active & images[bundle.image_of]
    offset = bundle.xyz[bundle.point_of[mine]] - centers[row[bundle.image_of[mine]]]
    length = float(np.median(np.linalg.norm(offset, axis=1)))
    tips = centers[:, None] + length * np.swapaxes(world_from_cam[:, :, :3], 1, 2)
    return np.asarray(np.concatenate([centers[:, None], tips], axis=1).reshape(-1, 3))
