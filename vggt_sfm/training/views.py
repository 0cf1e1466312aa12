"""Views of random scenes: cameras that see enough of what the others see, and their renders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vggt_sfm._checks import Float64
from vggt_sfm.training.rendering.render import render, render_depth
from vggt_sfm.training.scenes.cameras import Cameras, random_cameras
from vggt_sfm.training.scenes.description import SceneBatch, SceneDescription, stack_scenes
from vggt_sfm.training.scenes.draw import random_scene
from vggt_sfm.training.textures import TextureBank
from vggt_sfm.training.warp import Geometry, warp

_PROBE = 32  # px a side of the views that decide which cameras are kept
_SPARE = 2.0  # times more cameras are drawn than kept
_LEAST_MEDIAN_DEPTH = 0.45
_MOST_VERY_NEAR = 0.1  # share of pixels
_VERY_NEAR = 0.2
_LEAST_WITH_DEPTH = 0.25  # share of pixels: the rest is sky
_LEAST_OVERLAP = 0.1  # share of one view's pixels that some other view sees
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Views:
    """V rendered views of one scene."""

    scene: SceneDescription
    cameras: Cameras
    image: torch.Tensor  # (V, H, W, 3) in [0, 1]
    depth: torch.Tensor  # (V, H, W), 0 = sky
    overlap: Float64  # (V, V) share of a view's pixels with depth that another view sees


def random_views(
    bank: TextureBank,
    views: int,
    side: int,
    rng: np.random.Generator,
    *,
    kind: str | None = None,
    style: str | None = None,
) -> Views:
    """Draw a scene and cameras that belong together, and render them.

    Args:
        bank: Textures.
        views: How many.
        side: Of the square images, px.
        rng: Source of everything random.
        kind: Of the scene; by chance if None.
        style: Of the cameras; by chance if None.
    """
    device = bank.device
    for _ in range(_ATTEMPTS):
        scene, stage = random_scene(rng, bank.count, kind)
        batch = stack_scenes([scene], device)
        cameras = random_cameras(stage, int(_SPARE * views), side, rng, style)
        kept, overlap = _choose(batch, cameras, views, side)
        if kept is None:
            continue
        poses, K = cameras.cam_from_world[kept], cameras.intrinsics[kept]
        image, depth = render(batch, bank, _floats(poses, device), _floats(K, device), side, side)
        return Views(
            scene=scene,
            cameras=Cameras(style=cameras.style, cam_from_world=poses, intrinsics=K),
            image=image[0],
            depth=depth[0],
            overlap=overlap,
        )
    raise RuntimeError(f"no cameras fit any of {_ATTEMPTS} scenes of kind {kind}")


def _floats(values: Float64, device: torch.device) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float32, device=device)[None]


def _choose(
    batch: SceneBatch, cameras: Cameras, views: int, side: int
) -> tuple[list[int] | None, Float64]:
    """Rows of cameras that see something and each other, and their overlap."""
    usable, overlap = survey(batch, cameras, side, side)
    if len(usable) < views:
        return None, overlap
    kept = _connected(overlap, usable, views)
    return kept, overlap if kept is None else overlap[np.ix_(kept, kept)]


def survey(
    batch: SceneBatch, cameras: Cameras, height: int, width: int
) -> tuple[list[int], Float64]:
    """Find out from small renders what cameras see.

    Args:
        batch: One scene.
        cameras: V cameras.
        height: Of their images, px.
        width: Of their images, px.

    Returns:
        Rows of the cameras that see enough from far enough, and the (V, V) overlap of all.
    """
    device = batch.center.device
    scale = _PROBE / width
    small = round(height * scale)
    K = cameras.intrinsics * np.array([scale, small / height, 1.0])[:, None]
    poses, K_small = _floats(cameras.cam_from_world, device), _floats(K, device)
    depth = render_depth(batch, poses, K_small, small, _PROBE)[0]
    seen = depth.flatten(1)
    known = seen > 0
    median = torch.where(known, seen, torch.nan).nanmedian(1).values.nan_to_num(0)
    good = (
        (known.float().mean(1) > _LEAST_WITH_DEPTH)
        & (median > _LEAST_MEDIAN_DEPTH)
        & ((known & (seen < _VERY_NEAR)).float().mean(1) < _MOST_VERY_NEAR)
    )
    overlap = overlaps(Geometry(depth=depth, cam_from_world=poses[0], intrinsics=K_small[0]))
    return good.nonzero()[:, 0].tolist(), overlap


def _connected(overlap: Float64, usable: list[int], views: int) -> list[int] | None:
    """Grow a set of views from one, each of which overlaps with one before."""
    both = np.minimum(overlap, overlap.T)
    kept = [usable[0]]
    rest = usable[1:]
    while len(kept) < views:
        reached = [r for r in rest if both[r, kept].max() > _LEAST_OVERLAP]
        if not reached:
            return None
        kept.append(reached[0])
        rest.remove(reached[0])
    return sorted(kept)


def overlaps(views: Geometry) -> Float64:
    """Share of each view's pixels with depth that each other view sees, (V, V)."""
    count, height, width = views.depth.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    xy = (torch.stack([x, y], -1).reshape(1, -1, 2) + 0.5).to(views.depth)
    result = np.eye(count)
    rows, columns = (torch.as_tensor(a.ravel()) for a in np.indices((count, count)))
    _, seen = warp(views.pick(rows), views.pick(columns), xy.expand(len(rows), -1, -1))
    known = (views.depth > 0).flatten(1).sum(1).clamp(min=1)[rows]
    result = (seen.sum(1) / known).view(count, count).cpu().double().numpy()
    np.fill_diagonal(result, 1.0)
    return np.asarray(result)
