"""The room of ``photos`` as a scene, and what a perfect network would say about it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import photos
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from synthetic import plain_scene

from vggt_sfm.scene import Frame, Matches, Predictions, Scene, Size

Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
SIZE = Size(320, 240)


class Room(NamedTuple):
    views: list[photos.View]
    images: list[UInt8]
    scene: Scene
    predictions: Predictions

    def read_image(self, frame: Frame) -> UInt8:
        return self.images[int(frame.name[:3])]


@cache
def room(count: int = 3, roll_deg: float = 0.0) -> Room:
    """Photographs of the room, with true cameras and depth at half their size.

    Args:
        count: Photographs.
        roll_deg: By how much each is turned about its optical axis against the one before.
    """
    views = [
        replace(view, cam_from_world=rolled(s * roll_deg) @ view.cam_from_world)
        for s, view in enumerate(photos.views(count, *SIZE))
    ]
    small = [replace(v, width=v.width // 2, height=v.height // 2, focal=v.focal / 2) for v in views]
    focal = views[0].focal / 2
    predictions = Predictions(
        cam_from_world=np.stack([view.cam_from_world for view in views]),
        intrinsics=np.tile([[focal, 0, 80], [0, focal, 60], [0, 0, 1]], (count, 1, 1)),
        depth=np.stack([photos.depth_map(view) for view in small]).astype(np.float32),
        depth_confidence=np.ones((count, 120, 160), np.float32),
        camera_sources=("test",) * count,
    )
    images = [photos.render(view) for view in views]
    return Room(views, images, plain_scene(count, SIZE), predictions)


def rolled(angle_deg: float) -> Float64:
    """A turn about the optical axis."""
    return Rotation.from_euler("z", angle_deg, degrees=True).as_matrix()


def network_matches(pairs: dict[tuple[int, int], tuple[Float64, Float64]]) -> Matches:
    """Matches of pairs, given in the network's pixels."""
    blocks = [np.concatenate(both, axis=1) for both in pairs.values()]
    xy = np.concatenate([np.empty((0, 4)), *blocks]).astype(np.float32)
    return Matches(
        pairs=np.array(list(pairs), np.int64).reshape(-1, 2),
        offsets=np.concatenate([[0], np.cumsum([len(block) for block in blocks])]).astype(np.int64),
        xy=xy,
        confidence=np.ones(len(xy), np.float32),
    )
