"""A room with painted walls, whose depth is exact; for the training of a VGGT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from vggt_sfm.models import VGGTConfig
from vggt_sfm.training.multitask.batch import SceneViews

Float64 = NDArray[np.float64]

# Every part of the network, small enough to be trained within a test.
SMALL = VGGTConfig(
    img_size=32,
    patch_size=8,
    patch_embed="conv",
    embed_dim=32,
    depth=4,
    num_heads=2,
    num_register_tokens=1,
    camera_depth=1,
    camera_heads=2,
    camera_iterations=2,
    dpt_features=16,
    dpt_channels=(16, 16, 32, 32),
    dpt_layers=(0, 1, 2, 3),
    track_features=16,
    track_corr_levels=3,
    track_corr_radius=2,
    track_hidden=32,
    track_iterations=2,
)


class PaintedRoom:
    """The cube from -2 to 2, seen from places near its middle."""

    def __init__(self, num_frames: int, side: int = 32, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        turns = Rotation.from_rotvec(rng.normal(0, 0.15, (num_frames, 3))).as_matrix()
        centers = rng.uniform(-0.6, 0.6, (num_frames, 3, 1))
        self.num_frames = num_frames
        self._side = side
        self._cam_from_world = np.concatenate([turns, -turns @ centers], axis=2)
        self._intrinsics = np.array([[side, 0, side / 2], [0, side, side / 2], [0, 0, 1.0]])
        self._waves = rng.normal(0, 2, (3, 3))

    def views(self, frames: Sequence[int]) -> SceneViews:
        seen = [self._look(self._cam_from_world[i]) for i in frames]
        return SceneViews(
            images=np.stack([image for image, _ in seen]),
            depth=np.stack([depth for _, depth in seen]),
            cam_from_world=self._cam_from_world[list(frames)],
            intrinsics=np.tile(self._intrinsics, (len(seen), 1, 1)),
        )

    def _look(self, cam_from_world: Float64) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rotation, translation = cam_from_world[:, :3], cam_from_world[:, 3]
        center = -rotation.T @ translation
        y, x = np.mgrid[: self._side, : self._side] + 0.5
        pixels = np.stack([x, y, np.ones_like(x)], axis=-1)
        rays = pixels @ np.linalg.inv(self._intrinsics).T @ rotation  # 1 along the optical axis
        depth = np.min((2 * np.sign(rays) - center) / rays, axis=-1)
        points = center + rays * depth[..., None]
        color = 0.5 + 0.5 * np.sin(points @ self._waves)
        return color.transpose(2, 0, 1).astype(np.float32), depth.astype(np.float32)


def write_scene(folder: Path, num_frames: int = 3, side: int = 32, model: str = "sparse/0") -> Path:
    """Write the room as photographs, a COLMAP model and depth maps."""
    views = PaintedRoom(num_frames, side).views(range(num_frames))
    for name in ("images", "depth", model):
        (folder / name).mkdir(parents=True)
    lines = []
    for s in range(num_frames):
        pixels = (255 * views.images[s].transpose(1, 2, 0)).round().astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{s:03d}.png")
        np.save(folder / "depth" / f"{s:03d}.npy", views.depth[s])
        pose = views.cam_from_world[s]
        quaternion = np.roll(Rotation.from_matrix(pose[:, :3]).as_quat(), 1)
        numbers = " ".join(map(repr, [*quaternion.tolist(), *pose[:, 3].tolist()]))
        lines += [f"{s + 1} {numbers} 1 {s:03d}.png", ""]
    camera = f"1 PINHOLE {side} {side} {side} {side} {side / 2} {side / 2}\n"
    (folder / model / "cameras.txt").write_text(camera)
    (folder / model / "images.txt").write_text("\n".join(lines) + "\n")
    (folder / model / "points3D.txt").write_text("")
    return folder
