"""The losses of VGGT, each a mean over scenes.

Source: Wang et al. 2025, VGGT, section 3.4. Where the paper leaves something open, the docstring
says what was chosen here.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_ENCODING_PARTS = [3, 4, 2]  # translation, quaternion, field of view


def fading_weights(count: int, fading: float) -> list[float]:
    """Return weights of iterations that sum to 1; each counts ``fading`` times the next one."""
    raw = [fading ** (count - 1 - i) for i in range(count)]
    return [weight / sum(raw) for weight in raw]


def camera_loss(estimates: Tensor, truth: Tensor, *, huber: float, fading: float) -> Tensor:
    """Huber loss of every iteration's pose encodings.

    Chosen here: the means over translation, quaternion and field of view are added, and earlier
    iterations count less.

    Args:
        estimates: (I, B, S, 9) of the I iterations.
        truth: (B, S, 9).
        huber: Where the loss turns from quadratic to linear.
        fading: Weight of an iteration relative to the one after it.
    """
    terms = []
    for weight, estimate in zip(fading_weights(len(estimates), fading), estimates, strict=True):
        parts = zip(
            torch.split(estimate, _ENCODING_PARTS, dim=-1),
            torch.split(truth, _ENCODING_PARTS, dim=-1),
            strict=True,
        )
        terms += [weight * F.huber_loss(said, true, delta=huber) for said, true in parts]
    return torch.stack(terms).sum()


def dense_loss(
    values: Tensor, confidence: Tensor, truth: Tensor, valid: Tensor, *, alpha: float
) -> Tensor:
    """Confidence-weighted error of a map and of its steps from pixel to pixel.

    ``|C (V - T)| + |C (dV - dT)| - alpha log C``, with mean over the known pixels of each scene;
    chosen here: Euclidean norms over the K channels, and steps only between two known pixels.

    Args:
        values: (B, S, H, W, K) predicted depth or points.
        confidence: (B, S, H, W) predicted, positive.
        truth: (B, S, H, W, K).
        valid: (B, S, H, W) bool, where the truth is known.
        alpha: How much certainty is rewarded.
    """
    residual = torch.where(valid[..., None], values - truth, 0.0)
    error = confidence * torch.linalg.vector_norm(residual, dim=-1)
    loss = _mean_over_scenes(error - alpha * confidence.log(), valid)
    for axis in (2, 3):
        length = valid.shape[axis] - 1
        both = valid.narrow(axis, 0, length) & valid.narrow(axis, 1, length)
        step = torch.linalg.vector_norm(residual.diff(dim=axis), dim=-1)
        loss = loss + _mean_over_scenes(confidence.narrow(axis, 0, length) * step, both)
    return loss


def track_loss(estimates: Tensor, truth: Tensor, placed: Tensor, *, fading: float) -> Tensor:
    """L1 distance in px of every iteration's tracks.

    Chosen here: earlier iterations count less.

    Args:
        estimates: (I, B, S, N, 2) px of the I iterations.
        truth: (B, S, N, 2) px.
        placed: (B, S, N) bool, where the truth is known and inside the image.
        fading: Weight of an iteration relative to the one after it.
    """
    terms = [
        weight * _mean_over_scenes((estimate - truth).abs().sum(dim=-1), placed)
        for weight, estimate in zip(fading_weights(len(estimates), fading), estimates, strict=True)
    ]
    return torch.stack(terms).sum()


def likelihood_loss(probability: Tensor, truth: Tensor, judged: Tensor) -> Tensor:
    """Binary cross-entropy of what is said of points.

    Args:
        probability: (B, S, N) predicted, 0 to 1.
        truth: (B, S, N) bool.
        judged: (B, S, N) bool, where the truth is known.
    """
    entropy = F.binary_cross_entropy(probability, truth.to(probability.dtype), reduction="none")
    return _mean_over_scenes(entropy, judged)


def _mean_over_scenes(values: Tensor, counted: Tensor) -> Tensor:
    """Mean over the counted values of each scene, 0 if there are none, and then over scenes."""
    total = torch.where(counted, values, 0.0).flatten(1).sum(dim=1)
    return (total / counted.flatten(1).sum(dim=1).clamp(min=1)).mean()
