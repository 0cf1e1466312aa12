"""The depth head's loss on rendered scenes, with sparse depth that was solved for or simulated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from vggt_sfm.models.tiny.depth_head import CELLS, DEPTH_SCALE, DepthHead, spread
from vggt_sfm.models.tiny.network import COARSE, TinyBackbone
from vggt_sfm.models.tiny.sweep import HYPOTHESES, sweep
from vggt_sfm.training.pairs import mirror
from vggt_sfm.training.photograph import photograph
from vggt_sfm.training.pool import Shard, colors, depths
from vggt_sfm.training.solved import SolvedShard

_CELL = COARSE * DEPTH_SCALE  # px per value of sparse depth
_FINE_STRIDE = _CELL // CELLS  # px per value of completed depth
_MOST_TEXTURE_WEIGHT = 2.0  # standard deviations of the random field
_GROSS_SHARE = 0.04  # of matches whose depth is anything
_DRIFT, _LOST_DRIFT = 0.05, 0.4  # of the logarithms of the views' scales
_LOST_SHARE = 0.15  # of scenes


class GivenScene(NamedTuple):
    """V views with what the depth head is given of them, and the truth."""

    depth: torch.Tensor  # (V, H, W), 0 = sky
    lateral: torch.Tensor  # (V, C, h, w)
    sparse: torch.Tensor  # (V, h, w) log depth, NaN where there is none
    alike: torch.Tensor  # (V, HYPOTHESES, h, w)
    anchored: bool  # sparse depth has the unit of the true one


def solved_scene(
    backbone: TinyBackbone, shard: Shard, solved: SolvedShard, rng: np.random.Generator
) -> GivenScene:
    """Draw a scene that was solved for, on the backbone's device."""
    device = backbone.log_temperature.device
    scene = int(rng.integers(len(solved.views)))
    few = int((solved.views[scene] >= 0).sum())
    views = solved.views[scene, :few]
    image, depth = colors(shard, scene, views, device), depths(shard, scene, views, device)
    sparse, poses, K = (
        torch.as_tensor(values[scene, :few], device=device)
        for values in (solved.sparse, solved.cam_from_world, solved.intrinsics)
    )
    if rng.random() < 0.5:
        image, depth, poses, K = mirror(image, depth, poses, K)
        sparse = sparse.flip(-1)
    seen = see(backbone, photograph(image, rng))
    links = solved.links[scene, :few, :few].astype(np.float64)
    log_sparse = sparse.log()
    alike = sweep(seen.coarse, spread(log_sparse), poses, K, links)
    return GivenScene(depth, seen.lateral, log_sparse, alike, anchored=False)


def simulated_scene(backbone: TinyBackbone, shard: Shard, rng: np.random.Generator) -> GivenScene:
    """Draw a scene with simulated matches, of one view or more, and without cameras."""
    device = backbone.log_temperature.device
    scene, count = int(rng.integers(len(shard.image))), shard.image.shape[1]
    views = rng.permutation(count)[: int(rng.integers(1, count + 1))]
    image, depth = colors(shard, scene, views, device), depths(shard, scene, views, device)
    if rng.random() < 0.5:
        image, depth = image.flip(-1), depth.flip(-1)
    seen = see(backbone, photograph(image, rng))
    sparse = simulate_matches(depth, seen.matchable, rng)
    alike = sparse.new_zeros(len(sparse), HYPOTHESES, *sparse.shape[1:])
    anchored = bool(torch.isfinite(sparse).any())
    return GivenScene(depth, seen.lateral, sparse, alike, anchored)


class Seen(NamedTuple):
    """What the frozen backbone says of V views, at the depth head's resolution."""

    lateral: torch.Tensor  # (V, C, h, w)
    matchable: torch.Tensor  # (V, h, w) logits
    coarse: torch.Tensor  # (V, D, 2h, 2w) unit descriptors


@torch.no_grad()
def see(backbone: TinyBackbone, image: torch.Tensor) -> Seen:
    """Describe (V, 3, H, W) images as the depth head sees them: with cells twice as large."""
    with torch.autocast(image.device.type, torch.bfloat16):
        features = backbone(image)
    pool = torch.nn.functional.avg_pool2d
    return Seen(
        lateral=pool(features.lateral.float(), DEPTH_SCALE),
        matchable=pool(features.matchable.float()[:, None], DEPTH_SCALE)[:, 0],
        coarse=features.coarse.float(),
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


def depth_loss(head: DepthHead, given: GivenScene) -> tuple[torch.Tensor, torch.Tensor]:
    """Laplacian likelihood of the log depth, scale-free where the unit is not that of the truth.

    Returns:
        The loss and the errors of the log depth, (n,).
    """
    sparse = given.sparse
    center = sparse.nanmedian().nan_to_num(0.0)
    log_depth, log_error = head(given.lateral, sparse - center, given.alike)
    truth = given.depth[:, _FINE_STRIDE // 2 :: _FINE_STRIDE, _FINE_STRIDE // 2 :: _FINE_STRIDE]
    valid = truth > 0
    residual = log_depth - truth.clamp(min=1e-3).log() + center
    if not given.anchored:
        residual = residual - residual[valid].detach().median()
    error = residual[valid].abs()
    likelihood = error / log_error[valid].exp() + log_error[valid]
    gradient = _roughness(residual, valid, 1) + _roughness(residual, valid, 2)
    return likelihood.mean() + gradient, error.detach()


def _roughness(residual: torch.Tensor, valid: torch.Tensor, axis: int) -> torch.Tensor:
    """Mean absolute step of the residual along an axis, between pixels with depth."""
    length = valid.shape[axis] - 1
    both = valid.narrow(axis, 1, length) & valid.narrow(axis, 0, length)
    return (residual.diff(dim=axis).abs() * both).mean()
