"""The depth head's loss on rendered scenes with simulated sparse depth."""

from __future__ import annotations

import numpy as np
import torch

from vggt_sfm.models.tiny.depth_head import DepthHead
from vggt_sfm.models.tiny.network import COARSE
from vggt_sfm.training.photograph import photograph
from vggt_sfm.training.pool import Shard

_FINE_STRIDE = COARSE // 4  # px per depth value


def draw_scene(shard: Shard, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """One scene's views: (V, 3, H, W) colours in [0, 1] and (V, H, W) depth, 0 = sky."""
    scene = int(rng.integers(len(shard.image)))
    image = torch.as_tensor(shard.image[scene]).float().permute(0, 3, 1, 2) / 255
    depth = torch.as_tensor(shard.depth[scene].astype(np.float32))
    views = rng.permutation(len(image))[: int(rng.integers(1, len(image) + 1))]
    image, depth = photograph(image[views], rng), depth[views]
    return (image.flip(-1), depth.flip(-1)) if rng.random() < 0.5 else (image, depth)


def simulate_matches(depth: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Hide most of the true depth and spoil some of the rest, as matches would.

    Args:
        depth: (V, H, W) true depth, 0 = sky.
        rng: Source of everything random.

    Returns:
        (V, H/8, W/8) log depth, NaN where nothing is known.
    """
    cells = depth[:, COARSE // 2 :: COARSE, COARSE // 2 :: COARSE]
    log_depth = cells.clamp(min=1e-3).log()
    # matches come in clusters: a smooth random field decides where they are
    coarse = torch.as_tensor(rng.standard_normal((len(depth), 1, 6, 6), dtype=np.float32))
    field = torch.nn.functional.interpolate(coarse, cells.shape[1:], mode="bicubic")[:, 0]
    field = field + torch.as_tensor(rng.standard_normal(cells.shape, dtype=np.float32))
    share = rng.choice([0.0, rng.uniform(0.02, 0.7)], p=[0.12, 0.88], size=(len(depth), 1, 1))
    level = np.quantile(field.numpy(), 1 - share.ravel(), axis=None)
    known = (field > torch.as_tensor(level, dtype=torch.float32)[:, None, None]) & (cells > 0)
    noise = torch.as_tensor(rng.standard_normal(cells.shape, dtype=np.float32))
    gross = torch.as_tensor(rng.random(cells.shape) < 0.04)
    noise = noise * float(np.exp(rng.uniform(np.log(0.005), np.log(0.1)))) + gross * noise * 0.8
    # each view's scale is a little off, as joined baselines are
    drift = torch.as_tensor(rng.normal(0, 0.05, (len(depth), 1, 1)), dtype=torch.float32)
    return torch.where(known, log_depth + noise + drift, torch.nan)


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
