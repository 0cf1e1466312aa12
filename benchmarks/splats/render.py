"""A small differentiable renderer of 3D Gaussians, on any device, and gsplat where it is there.

Gaussians are projected to ellipses, sorted by depth once a view, listed by tiles of 8 × 8 pixels
and blended front to back. Pixels are COLMAP's: the centre of the first one is (0.5, 0.5).

Source: Kerbl et al., 3D Gaussian Splatting for Real-Time Radiance Field Rendering, 2023, sections 4
and 6; Zwicker et al., EWA Splatting, 2002, eq. 24 to 31 for the projected covariance.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.splats.blend import TILE, Lists, blend

DILATION_PX2 = 0.3  # added to both variances: no Gaussian falls between pixel centres
_NEAR = 0.05  # of the scene unit; nearer Gaussians are not drawn
_REACH = 3.0  # standard deviations at which a Gaussian ends
_MARGIN = 1.3  # of the half field of view, where the linearised projection is held


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Gaussians:
    """What is drawn: every field is a tensor of its own, optimised as it is."""

    means: Tensor  # (N, 3) world
    log_scales: Tensor  # (N, 3) natural logarithm of the standard deviations, scene units
    quats_wxyz: Tensor  # (N, 4) world_from_gaussian, of any length but 0
    opacity_logits: Tensor  # (N,)
    colors: Tensor  # (N, 3) RGB, 0 to 1, the same from everywhere

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Camera:
    """A PINHOLE camera with a pose."""

    cam_from_world: Float64  # (3, 4) OpenCV axes
    intrinsics: Float64  # (3, 3) K, px, corner-origin
    width: int
    height: int


def rotations(quats_wxyz: Tensor) -> Tensor:
    """Return (N, 3, 3) rotations of (N, 4) quaternions, whatever their length."""
    w, x, y, z = torch.nn.functional.normalize(quats_wxyz, dim=1).unbind(1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def project(gaussians: Gaussians, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
    """Project means and covariances.

    Args:
        gaussians: N of them.
        camera: Where they are seen from.

    Returns:
        (N, 2) xy px, (N,) depth along the optical axis, and (N, 3) variances and covariance
        xx, xy, yy px², dilated. Behind the camera they mean nothing.

    Source: EWA Splatting, eq. 29 and 31: Σ' = J W Σ Wᵀ Jᵀ.
    """
    pose = gaussians.means.new_tensor(camera.cam_from_world)
    W = pose[:, :3]
    x, y, depth = (gaussians.means @ W.T + pose[:, 3]).unbind(1)
    z = depth.clamp(min=_NEAR)
    K = camera.intrinsics
    fx, fy, cx, cy = (float(K[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    xy = torch.stack([fx * x / z + cx, fy * y / z + cy], dim=1)
    # Far outside the image the tangent of the projection is no use: hold it at the margin.
    tan_x = (x / z).clamp(*(sorted(((0 - cx) / fx * _MARGIN, (camera.width - cx) / fx * _MARGIN))))
    tan_y = (y / z).clamp(*(sorted(((0 - cy) / fy * _MARGIN, (camera.height - cy) / fy * _MARGIN))))
    zero = torch.zeros_like(z)
    J = torch.stack(
        [
            torch.stack([fx / z, zero, -fx * tan_x / z], dim=1),
            torch.stack([zero, fy / z, -fy * tan_y / z], dim=1),
        ],
        dim=1,
    )
    half = J @ W @ (rotations(gaussians.quats_wxyz) * gaussians.log_scales.exp()[:, None])
    flat = half @ half.mT
    spread = torch.stack(
        [flat[:, 0, 0] + DILATION_PX2, flat[:, 0, 1], flat[:, 1, 1] + DILATION_PX2], dim=1
    )
    return xy, depth, spread


def render(gaussians: Gaussians, camera: Camera, background: Tensor) -> Tensor:
    """Draw Gaussians.

    Args:
        gaussians: N of them; gradients reach all their tensors.
        camera: Where they are seen from.
        background: (3,) RGB behind them.

    Returns:
        (H, W, 3) RGB.

    Source: 3D Gaussian Splatting, eq. 2 to 4: C = Σ c_k α_k Π_{j<k} (1 − α_j).
    """
    xy, depth, spread = project(gaussians, camera)
    xx, across, yy = spread.unbind(1)
    determinant = xx * yy - across * across
    conic = torch.stack([yy, -across, xx], dim=1) / determinant[:, None]
    lists = _list_by_tiles(xy.detach(), depth.detach(), spread.detach(), camera)
    ids = lists.gaussian
    # Relative to the middle of the tile: there the pixels of every tile are the same.
    offset = xy[ids] - lists.middles(xy.dtype)
    a, b, c = conic[ids].unbind(1)
    u, v = offset.unbind(1)
    log_opacity = torch.nn.functional.logsigmoid(gaussians.opacity_logits)[ids]
    left, right = a * u + b * v, b * u + c * v
    exponents = torch.stack(
        [-a / 2, -b, -c / 2, left, right, log_opacity - (left * u + right * v) / 2], dim=1
    )
    tiles = blend(exponents, gaussians.colors[ids], background, lists)
    grid = tiles.view(lists.rows, lists.columns, TILE, TILE, 3).permute(0, 2, 1, 3, 4)
    whole = grid.reshape(lists.rows * TILE, lists.columns * TILE, 3)
    return whole[: camera.height, : camera.width]


def _list_by_tiles(xy: Tensor, depth: Tensor, spread: Tensor, camera: Camera) -> Lists:
    """List which Gaussians reach which tiles, nearest first."""
    rows, columns = -(-camera.height // TILE), -(-camera.width // TILE)
    reach = _REACH * spread[:, [0, 2]].sqrt()
    limit = torch.tensor([columns, rows], device=xy.device)
    low = ((xy - reach) / TILE).floor().clamp(min=0).minimum(limit).long()
    high = ((xy + reach) / TILE).ceil().clamp(min=0).minimum(limit).long()
    high = torch.where((depth > _NEAR)[:, None], high, low)
    wide, tall = (high - low).unbind(1)
    order = depth.argsort()
    count = (wide * tall)[order]
    gaussian = order.repeat_interleave(count)
    step = torch.arange(len(gaussian), device=xy.device)
    step = step - (count.cumsum(0) - count).repeat_interleave(count)
    tile_x = low[gaussian, 0] + step % wide[gaussian]
    tile_y = low[gaussian, 1] + step // wide[gaussian]
    tile, by_tile = torch.sort(tile_y * columns + tile_x, stable=True)
    return Lists(gaussian=gaussian[by_tile], tile=tile, rows=rows, columns=columns)


def has_gsplat() -> bool:
    """Whether gsplat and a GPU for it are here."""
    return torch.cuda.is_available() and importlib.util.find_spec("gsplat") is not None


def renderer_name() -> str:
    """What draws here: ``gsplat`` or ``torch``."""
    return "gsplat" if has_gsplat() else "torch"


def render_with_gsplat(gaussians: Gaussians, camera: Camera, background: Tensor) -> Tensor:
    """Draw as ``render`` does, with gsplat on a GPU.

    Written from gsplat's documented interface; it has not been run where this was developed.
    """
    import gsplat  # type: ignore[import-not-found]  # there on machines with CUDA only

    pose = np.vstack([camera.cam_from_world, [0.0, 0.0, 0.0, 1.0]])
    images, _, _ = gsplat.rasterization(
        gaussians.means,
        gaussians.quats_wxyz,
        gaussians.log_scales.exp(),
        gaussians.opacity_logits.sigmoid(),
        gaussians.colors,
        gaussians.means.new_tensor(pose)[None],
        gaussians.means.new_tensor(camera.intrinsics)[None],
        camera.width,
        camera.height,
        near_plane=_NEAR,
        eps2d=DILATION_PX2,
        backgrounds=background[None],
    )
    return torch.as_tensor(images[0])
