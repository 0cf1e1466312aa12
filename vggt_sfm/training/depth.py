"""The depth head's loss on rendered scenes with simulated sparse depth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from vggt_sfm.models.tiny.depth_head import CELLS, DEPTH_SCALE, DepthHead
from vggt_sfm.models.tiny.network import COARSE, TinyBackbone
from vggt_sfm.training.photograph import photograph
from vggt_sfm.training.pool import Shard

_CELL = COARSE * DEPTH_SCALE  # px per value of sparse depth
_FINE_STRIDE = _CELL // CELLS  # px per value of completed depth
_MOST_TEXTURE_WEIGHT = 2.0  # standard deviations of the random field
_GROSS_SHARE = 0.04  # of matches whose depth is anything
_DRIFT, _LOST_DRIFT = 0.05, 0.4  # of the logarithms of the views' scales
_LOST_SHARE = 0.15  # of scenes


def draw_scene(
    shard: Shard, rng: np.random.Generator, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """One scene's views: (V, 3, H, W) colours in [0, 1] and (V, H, W) depth, 0 = sky."""
    scene = int(rng.integers(len(shard.image)))
    image = torch.as_tensor(shard.image[scene], device=device).float().permute(0, 3, 1, 2) / 255
    depth = torch.as_tensor(shard.depth[scene].astype(np.float32), device=device)
    views = rng.permutation(len(image))[: int(rng.integers(1, len(image) + 1))]
    image, depth = photograph(image[views], rng), depth[views]
    return (image.flip(-1), depth.flip(-1)) if rng.random() < 0.5 else (image, depth)


class Seen(NamedTuple):
    """What the frozen backbone says of V views, at the depth head's resolution."""

    lateral: torch.Tensor  # (V, C, h, w)
    matchable: torch.Tensor  # (V, h, w) logits


@torch.no_grad()
def see(backbone: TinyBackbone, image: torch.Tensor) -> Seen:
    """Describe (V, 3, H, W) images as the depth head sees them: with cells twice as large."""
    with torch.autocast(image.device.type, torch.bfloat16):
        features = backbone(image)
    pool = torch.nn.functional.avg_pool2d
    return Seen(
        lateral=pool(features.lateral.float(), DEPTH_SCALE),
        matchable=pool(features.matchable.float()[:, None], DEPTH_SCALE)[:, 0],
    )


def simulate_matches(
    depth: torch.Tensor, matchable: torch.Tensor, rng: np.random.Generator
) -> torch.Tensor:
    """Hide most of the true depth and spoil some of the rest, as matches would.

    Args:
        depth: (V, H, W) true depth, 0 = sky.
        matchable: (V, H/16, W/16) logits: matches are where there is something to match.
        rng: Source of everything random.

    Returns:
        (V, H/16, W/16) log depth, NaN where nothing is known.
    """
    cells = depth[:, _CELL // 2 :: _CELL, _CELL // 2 :: _CELL]
    log_depth = cells.clamp(min=1e-3).log()
    shape = tuple(cells.shape)

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=depth.device)

    # matches come in clusters: a smooth random field decides where they are
    coarse = tensor(rng.standard_normal((len(depth), 1, 6, 6)))
    field = torch.nn.functional.interpolate(coarse, shape[1:], mode="bicubic")[:, 0]
    field = field + tensor(rng.standard_normal(shape))
    field = field + _standardized(matchable) * rng.uniform(0, _MOST_TEXTURE_WEIGHT)
    share = rng.choice([0.0, rng.uniform(0.02, 0.8)], p=[0.12, 0.88], size=len(depth))
    level = torch.stack([f.quantile(1 - s) for f, s in zip(field.flatten(1), share, strict=True)])
    known = (field > level[:, None, None]) & (cells > 0)
    noise = tensor(rng.standard_normal(shape))
    lost = rng.random() < _LOST_SHARE  # its cameras are wrong, and so is most of its depth
    gross_share = rng.uniform(0.1, 0.8) if lost else _GROSS_SHARE
    gross = tensor(rng.random(shape) < gross_share)
    noise = noise * float(np.exp(rng.uniform(np.log(0.005), np.log(0.1)))) + gross * noise * 0.8
    # each view's scale is a little off, as joined baselines are
    drift = tensor(rng.normal(0, _LOST_DRIFT if lost else _DRIFT, (len(depth), 1, 1)))
    return torch.where(known, log_depth + noise + drift, torch.nan)


def _standardized(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean()) / (x.std() + 1e-6)


def depth_loss(
    head: DepthHead, lateral: torch.Tensor, depth: torch.Tensor, sparse: torch.Tensor
) -> tuple[torch.Tensor, float]:
    """Laplacian likelihood of the log depth, scale-free where no depth was given.

    Returns:
        The loss and the median absolute error of the log depth.
    """
    center = sparse.nanmedian()
    anchored = bool(torch.isfinite(center))
    log_depth, log_error = head(lateral, sparse - center if anchored else sparse)
    truth = depth[:, _FINE_STRIDE // 2 :: _FINE_STRIDE, _FINE_STRIDE // 2 :: _FINE_STRIDE]
    valid = truth > 0
    residual = log_depth - truth.clamp(min=1e-3).log() + (center if anchored else 0.0)
    if not anchored:
        residual = residual - residual[valid].median()
    error = residual[valid].abs()
    likelihood = error / log_error[valid].exp() + log_error[valid]
    gradient = _roughness(residual, valid, 1) + _roughness(residual, valid, 2)
    return likelihood.mean() + gradient, float(error.detach().median())


def _roughness(residual: torch.Tensor, valid: torch.Tensor, axis: int) -> torch.Tensor:
    """Mean absolute step of the residual along an axis, between pixels with depth."""
    length = valid.shape[axis] - 1
    both = valid.narrow(axis, 1, length) & valid.narrow(axis, 0, length)
    return (residual.diff(dim=axis).abs() * both).mean()
