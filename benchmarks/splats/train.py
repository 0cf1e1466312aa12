"""Fitting Gaussians to the training views of a scene, cameras held, and measuring PSNR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vggt_sfm._checks import Float32
from vggt_sfm.benchmarks.splats.render import (
    Camera,
    Gaussians,
    has_gsplat,
    render,
    render_with_gsplat,
)
from vggt_sfm.benchmarks.splats.scene import FirstGaussians, SplatScene, View, first_gaussians

_FINAL_RATE = 0.03  # of the learning rates at the end, exponentially
_FIRST_OPACITY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How Gaussians are fitted; the same for every way of getting cameras."""

    gaussians: int = 6000
    iterations: int = 300
    means_rate: float = 2e-3
    """Of Adam, in scene units (median depth: 1)."""
    scales_rate: float = 4e-2
    quats_rate: float = 1e-2
    opacities_rate: float = 5e-2
    colors_rate: float = 2e-2
    background: float = 0.0
    """Grey value behind everything."""


def train(scene: SplatScene, config: TrainConfig, seed: int) -> Gaussians:
    """Fit Gaussians to the training views.

    Args:
        scene: Views and sparse points; cameras are held.
        config: Number of Gaussians, of steps, and rates.
        seed: Of the first Gaussians' places and of the order of views.
    """
    rng = np.random.default_rng(seed)
    device = "cuda" if has_gsplat() else "cpu"
    gaussians = _start(first_gaussians(scene, config.gaussians, rng), device)
    background = torch.full((3,), config.background, device=device)
    draw = _renderer()
    optimizer = _optimizer(gaussians, config)
    decay = torch.optim.lr_scheduler.ExponentialLR(
        optimizer, _FINAL_RATE ** (1 / config.iterations)
    )
    targets = [_tensors(view, device) for view in scene.train]
    order: list[int] = []
    for _ in range(config.iterations):
        order = order or rng.permutation(len(targets)).tolist()
        s = order.pop()
        image, valid = targets[s]
        drawn = draw(gaussians, scene.train[s].camera, background)
        loss = (drawn - image)[valid].abs().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        decay.step()
    return gaussians


def _renderer() -> Callable[[Gaussians, Camera, Tensor], Tensor]:
    return render_with_gsplat if has_gsplat() else render


def _start(first: FirstGaussians, device: str) -> Gaussians:
    count = len(first.xyz)
    size = np.log(first.size)[:, None].repeat(3, axis=1)
    tensors = {
        "means": torch.as_tensor(first.xyz, dtype=torch.float32),
        "log_scales": torch.as_tensor(size, dtype=torch.float32),
        "quats_wxyz": torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        "opacity_logits": torch.full((count,), _FIRST_OPACITY).logit(),
        "colors": torch.as_tensor(first.colors, dtype=torch.float32),
    }
    return Gaussians(**{n: t.to(device).requires_grad_() for n, t in tensors.items()})


def _optimizer(gaussians: Gaussians, config: TrainConfig) -> torch.optim.Adam:
    rates = {
        "means": config.means_rate,
        "log_scales": config.scales_rate,
        "quats_wxyz": config.quats_rate,
        "opacity_logits": config.opacities_rate,
        "colors": config.colors_rate,
    }
    groups = [{"params": [t], "lr": rates[name]} for name, t in gaussians.tensors().items()]
    return torch.optim.Adam(groups, eps=1e-15)  # as in 3DGS: gradients of a pixel are tiny


def _tensors(view: View, device: str) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(view.image).to(device), torch.from_numpy(view.valid).to(device)


def drawn_views(gaussians: Gaussians, views: Sequence[View], config: TrainConfig) -> list[Float32]:
    """Draw views, (H, W, 3) RGB from 0 to 1 each."""
    background = torch.full((3,), config.background, device=gaussians.means.device)
    draw = _renderer()
    with torch.no_grad():
        images = [draw(gaussians, view.camera, background) for view in views]
    return [image.clamp(0, 1).cpu().numpy() for image in images]


def psnr(drawn: Float32, view: View) -> float:
    """Return the PSNR of a drawn view in dB, over the pixels that the photograph covers."""
    error = (drawn - view.image)[view.valid].astype(np.float64)
    return float(-10 * np.log10(max((error**2).mean(), 1e-10)))
